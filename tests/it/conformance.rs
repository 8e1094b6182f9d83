//! The contract's thirty conformance checks and where each is made: the tests that stand for it, here and with the
//! official SDKs. Checks nothing of the server itself; fails when a test that is named has gone.

use std::path::Path;

/// Number, what is checked, `file::function` of the tests that check it.
const CHECKS: [(u32, &str, &[&str]); 30] = [
    (
        1,
        "a create of the SDK",
        &["it/videos/create.rs::a_form_of_the_sdk_becomes_a_job", "sdk/videos.py::from_text"],
    ),
    (2, "create and poll", &["sdk/videos.py::from_text"]),
    (3, "the file of a finished clip", &["sdk/videos.py::check_file", "sdk/videos.py::probe"]),
    (
        4,
        "its other variants",
        &[
            "it/videos/content.rs::a_completed_video_is_served_in_all_its_variants",
            "sdk/outside.py::downloads",
            "sdk/videos.py::errors",
        ],
    ),
    (5, "a picture as a file and as bytes", &["sdk/videos.py::from_picture"]),
    (6, "a picture as a data URL in brackets", &["sdk/videos.mjs::input_reference: { image_url }"]),
    (
        7,
        "pages",
        &["it/videos/list.rs::pages_follow_one_another_without_gap_or_repetition", "sdk/videos.py::pages"],
    ),
    (
        8,
        "a remix",
        &[
            "it/videos/remix.rs::a_remix_keeps_parameters_seed_and_picture",
            "it/videos/remix.rs::only_a_completed_video_of_mine_can_be_remixed",
            "sdk/retries.py::what_is_no_use_is_not_repeated",
            "sdk/retries.mjs::source_not_ready",
        ],
    ),
    (
        9,
        "a deletion",
        &[
            "it/videos/cancel.rs::a_running_job_is_deleted_only_after_a_cancel",
            "sdk/videos.py::video_not_found",
            "sdk/retries.py::video_in_progress",
        ],
    ),
    (
        10,
        "edits and extensions, refused",
        &[
            "it/videos/create.rs::what_the_models_cannot_do_is_refused_for_good",
            "sdk/retries.py::c.videos.extend",
            "sdk/retries.mjs::client.videos.edit",
        ],
    ),
    (
        11,
        "characters, refused",
        &[
            "it/videos/create.rs::what_the_models_cannot_do_is_refused_for_good",
            "sdk/retries.py::c.videos.create_character",
            "sdk/retries.mjs::client.videos.getCharacter",
        ],
    ),
    (12, "the envelope of an error", &["it/videos/create.rs::wrong_parameters_are_named_in_json"]),
    (13, "the code of an error", &["it/videos/create.rs::wrong_parameters_are_named_in_json"]),
    (
        14,
        "waiting",
        &[
            "it/videos/create.rs::a_waiting_create_answers_the_end",
            "it/videos/read.rs::waiting_ends_with_its_time",
        ],
    ),
    (15, "the same seed", &["it/generate.rs::a_text_becomes_a_clip_and_the_same_seed_alone_the_same_clip"]),
    (
        16,
        "a picture four ways",
        &[
            "it/videos/from_image.rs::every_form_of_a_picture_is_taken",
            "it/videos/from_image.rs::a_picture_is_fetched_by_url_within_the_limits",
            "it/files.rs::a_job_keeps_its_own_copy_of_a_file",
            "sdk/outside.py::files",
        ],
    ),
    (
        17,
        "pictures that are refused",
        &[
            "it/videos/from_image.rs::unusable_pictures_fail_the_request_and_not_the_job",
            "it/videos/from_image.rs::a_body_over_the_limit_is_cut_off",
        ],
    ),
    (
        18,
        "URLs that are refused",
        &[
            "it/hostile_urls.rs::no_hostile_url_is_fetched_or_called",
            "it/hostile_urls.rs::a_literal_of_any_spelling_is_refused_by_name",
            "it/serve/rebinding.rs::a_name_that_changes_its_address_leads_nowhere_else",
            "it/videos/from_image.rs::a_picture_is_fetched_by_url_within_the_limits",
        ],
    ),
    (
        19,
        "events",
        &["it/videos/events.rs::a_stream_tells_a_job_to_its_end_and_a_repeated_one_only_what_is_new"],
    ),
    (20, "ranges and conditions", &["it/videos/content.rs::parts_and_conditions_follow_the_standard"]),
    (
        21,
        "redirects",
        &[
            "it/videos/content.rs::a_video_that_is_not_there_says_whether_to_come_back",
            "it/delivery.rs::with_a_bucket_files_go_to_it_and_come_from_it_without_our_keys",
            "sdk/outside.py::downloads",
            "sdk/outside.mjs::redirect: true",
        ],
    ),
    (
        22,
        "keys",
        &[
            "it/auth.rs::without_a_valid_key_nothing_is_said",
            "it/auth.rs::a_revoked_key_is_refused_at_once",
            "../src/jobs/tokens_tests.rs::another_server_learns_of_a_revocation_within_5_seconds",
            "it/auth.rs::a_key_does_what_its_scopes_say",
            "it/auth.rs::the_headers_of_the_sdk_must_name_the_keys_own_tenant",
        ],
    ),
    (23, "strangers", &["it/isolation.rs::what_belongs_to_others_looks_like_what_is_not_there"]),
    (
        24,
        "tokens",
        &[
            "it/tokens.rs::a_token_reads_the_videos_it_names_and_does_nothing_else",
            "it/tokens.rs::a_forged_token_is_refused_and_counted",
            "it/tokens.rs::a_token_that_expired_half_a_minute_ago_is_told_so",
        ],
    ),
    (
        25,
        "limits",
        &[
            "it/limits.rs::the_request_rate_is_told_and_kept",
            "it/limits.rs::active_jobs_are_counted_with_the_admission",
            "it/limits.rs::gpu_seconds_are_promised_then_charged_and_never_exceeded",
            "it/limits.rs::a_quota_below_one_job_says_that_waiting_does_not_help",
            "sdk/retries.py::limits",
            "sdk/retries.mjs::insufficient_quota",
        ],
    ),
    (
        26,
        "idempotency",
        &[
            "it/videos/idempotency.rs::a_repeated_key_answers_the_first_job",
            "it/videos/idempotency.rs::parallel_repetitions_make_one_job",
            "it/videos/idempotency.rs::another_request_under_the_same_key_is_refused",
            "it/files.rs::an_upload_sent_twice_with_one_key_is_one_file",
            "sdk/retries.py::a_key_makes_one_job",
            "sdk/retries.mjs::idempotent-replayed",
        ],
    ),
    (27, "webhooks", &["sdk/outside.py::webhooks", "sdk/outside.mjs::client.webhooks.unwrap"]),
    (
        28,
        "administration",
        &[
            "sdk/admin.py::projects.create",
            "sdk/admin.py::service_accounts.api_keys.create",
            "sdk/admin.py::limits.update_rate_limit",
            "sdk/retries.py::max_requests_per_1_minute=5",
            "it/organization.rs::limits_are_set_by_administrators_and_hold_at_once",
        ],
    ),
    (
        29,
        "metrics and health",
        &[
            "it/conventions.rs::metrics_need_their_token_and_count_by_route",
            "it/conventions.rs::health_and_readiness_tell_life_from_work",
            "it/prometheus.rs::prometheus_takes_the_page_and_a_job_advances_it",
            "it/prometheus.rs::the_rules_and_the_configuration_are_taken",
        ],
    ),
    (
        30,
        "routes, the document, a killed worker",
        &[
            "it/conventions.rs::what_is_no_route_is_said_in_the_envelope",
            "it/openapi.rs::the_committed_document_equals_the_codes",
            "it/openapi.rs::every_endpoint_of_the_contract_is_in_the_document",
            "it/openapi.rs::every_endpoint_of_the_operator_is_in_its_document",
            "openapi/run.sh::openapi-spec-validator",
            "it/serve/kill.rs::a_killed_worker_costs_one_attempt_and_no_job",
            "it/serve/clip.rs::a_cancel_takes_effect_within_one_step",
        ],
    ),
];

#[test]
fn every_check_of_the_contract_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut wrong = Vec::new();
    for (place, (number, what, tests)) in (1..).zip(CHECKS) {
        assert_eq!(number, place, "{what}");
        assert!(!tests.is_empty(), "{number}, {what}");
        for test in tests {
            let (file, text) = test.split_once("::").unwrap();
            let there = std::fs::read_to_string(root.join(file)).is_ok_and(|source| source.contains(text));
            if !there {
                wrong.push(format!("{number}, {what}: {test}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
