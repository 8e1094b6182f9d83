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
    assert organization.projects.archive(project.id).status == "archived"
    print("keys: ok")


if __name__ == "__main__":
    sys.exit(main())
