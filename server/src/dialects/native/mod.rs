//! `native`: `/api/v1/…`, where everything new grows.

mod admin;
mod api_keys;
mod auth;
mod branches;
mod chat;
mod consents;
mod conversations;
mod cookie;
mod error;
mod files;
mod jobs;
mod mail_links;
mod messages;
mod models;
mod moderation;
mod personal_data;
mod quotas;
mod send;
mod sessions;
mod shares;
mod socket;
mod usage;
mod users;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kit::{Context, extract, upload};
pub use error::{Error, Problem, problem};

type Caller = extract::Caller<Error>;
type Json<T> = extract::JsonBody<T, Error>;
type OptionalJson<T> = extract::OptionalJson<T, Error>;
type FormOrJson<T> = extract::FormOrJson<T, Error>;
type Query<T> = extract::Query<T, Error>;
type PathText = extract::PathText<Error>;
type PathTexts = extract::PathTexts<Error>;
type Upload = upload::Upload<Error>;

/// Its routes.
pub fn router() -> OpenApiRouter<Context> {
    OpenApiRouter::new()
        .routes(routes!(admin::list_users))
        .routes(routes!(admin::read_user, admin::change_user, admin::delete_user))
        .routes(routes!(admin::list_providers))
        .routes(routes!(moderation::list_events))
        .routes(routes!(moderation::review_event))
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(jobs::read_job))
        .routes(routes!(jobs::retry_job))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(jobs::list_schedules))
        .routes(routes!(jobs::run_schedule))
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(mail_links::forgot))
        .routes(routes!(mail_links::reset))
        .routes(routes!(mail_links::verify))
        .routes(routes!(mail_links::resend))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::end_all))
        .routes(routes!(sessions::change_password))
        .routes(routes!(users::me, users::update, users::delete))
        .routes(routes!(personal_data::export))
        .routes(routes!(consents::list, consents::give))
        .routes(routes!(usage::read))
        .routes(routes!(quotas::read_own))
        .routes(routes!(quotas::read_quota, quotas::set_quota, quotas::delete_quota))
        .routes(routes!(quotas::reset_quota))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::delete))
        .routes(routes!(files::list_files, files::upload_file))
        .routes(routes!(files::read_file, files::delete_file))
        .routes(routes!(files::read_content))
        .routes(routes!(send::send_message))
        .routes(routes!(send::stream_message))
        .routes(routes!(socket::open))
        .routes(routes!(chat::resume_stream))
        .routes(routes!(chat::stop))
        .routes(routes!(models::list_models))
        .routes(routes!(conversations::list_conversations))
        .routes(routes!(
            conversations::read_conversation,
            conversations::update_conversation,
            conversations::delete_conversation
        ))
        .routes(routes!(messages::list_messages))
        .routes(routes!(messages::switch_branch))
        .routes(routes!(messages::rate_answer, messages::unrate_answer))
        .routes(routes!(branches::regenerate))
        .routes(routes!(branches::edit_message))
        .routes(routes!(shares::export_conversation))
        .routes(routes!(shares::share_conversation, shares::list_shares))
        .routes(routes!(shares::delete_share))
        .routes(routes!(shares::read_shared))
}
