"""Administers a running server with openai-python: projects, service accounts, keys.

Needs BASE (…/v1) and ADMIN, a key of `wanserve keys create --kind admin`. Never changes the library.
"""

import os
import sys
import warnings

import openai

warnings.simplefilter("ignore", DeprecationWarning)


def client(key):
    return openai.OpenAI(base_url=os.environ["BASE"], api_key=key, admin_api_key=os.environ["ADMIN"], max_retries=0)


def main():
    print(f"openai {openai.__version__}")
    organization = client("unused").admin.organization
    project = organization.projects.create(name="sdk")
    assert project.object == "organization.project" and project.status == "active"
    assert organization.projects.retrieve(project.id).name == "sdk"
    assert organization.projects.update(project.id, name="sdk 2").name == "sdk 2"
    assert project.id in [listed.id for listed in organization.projects.list(limit=1)]

    account = organization.projects.service_accounts.create(project_id=project.id, name="backend")
    assert account.role == "member" and account.api_key.value.startswith("vk_proj_")
    backend = client(account.api_key.value)
    assert list(backend.videos.list()) == []
    assert organization.projects.service_accounts.retrieve(account.id, project_id=project.id).name == "backend"
    print("projects, service accounts: ok")

    keys = organization.projects.api_keys
    listed = list(keys.list(project.id))
    assert [key.id for key in listed] == [account.api_key.id]
    assert listed[0].owner.service_account.id == account.id and "…" in listed[0].redacted_value
    try:
        backend.post("/organization/projects", body={"name": "x"}, cast_to=object)
        raise AssertionError("a project key administers nothing")
    except openai.PermissionDeniedError as error:
        assert error.code == "insufficient_scope"
    assert keys.delete(account.api_key.id, project_id=project.id).deleted
    try:
        backend.videos.list()
        raise AssertionError("a deleted key opens nothing")
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key"
    reader = organization.projects.service_accounts.api_keys.create(
        account.id, project_id=project.id, name="reader", scopes=["videos.read"], extra_body={"expires_in_seconds": 3600}
    )
    assert reader.object == "organization.project.service_account.api_key" and reader.name == "reader", reader
    kept = keys.retrieve(reader.id, project_id=project.id)
    assert kept.scopes == ["videos.read"] and kept.expires_at - kept.created_at == 3600 and kept.status == "active", kept
    assert reader.value not in kept.to_json()
    assert list(client(reader.value).videos.list()) == []
    try:
        client(reader.value).videos.create(prompt="x")
        raise AssertionError("a key does what its scopes say")
    except openai.PermissionDeniedError as error:
        assert error.code == "insufficient_scope" and "videos.write" in str(error)
    print("keys: ok")

    limits = organization.projects.rate_limits
    assert limits.update_rate_limit("rl_default", project_id=project.id, max_requests_per_1_minute=5).max_requests_per_1_minute == 5
    assert [limit.id for limit in limits.list_rate_limits(project.id)][0] == "rl_default"
    print("limits: ok")

    admin = organization.admin_api_keys.create(name="terraform", expires_in_seconds=3600)
    assert admin.object == "organization.admin_api_key" and admin.value.startswith("vk_admin_"), admin
    assert admin.id in [listed.id for listed in organization.admin_api_keys.list(limit=1, order="asc")]
    assert organization.admin_api_keys.retrieve(admin.id).redacted_value != admin.value
    assert organization.admin_api_keys.delete(admin.id).deleted
    told = organization.audit_logs.list(event_types=["api_key.created", "api_key.deleted"], project_ids=[project.id])
    assert [entry.type for entry in told] == ["api_key.created", "api_key.deleted", "api_key.created"]
    usage = client(os.environ["ADMIN"]).get(
        "/organization/usage/videos", cast_to=object, options={"params": {"start_time": 0, "group_by": ["model", "project_id"]}}
    )
    assert usage["object"] == "page" and usage["data"][0]["object"] == "bucket", usage
    assert organization.projects.service_accounts.delete(account.id, project_id=project.id).deleted
    assert organization.projects.archive(project.id).status == "archived"
    print("administrators, audit log, usage: ok")


if __name__ == "__main__":
    sys.exit(main())
