//! Reports, and the record of what moderators did.

use confab_client::Client;
use confab_kit::error::Reason;
use confab_proto::participants::v1::{
    KickParticipantRequest, ListModerationActionsRequest, ListReportsRequest, ModerationKind,
    MuteParticipantRequest, Report, ReportCategory, ReportMessageRequest, ReportResolution,
    ResolveReportRequest, Role,
};
use confab_tests::harness::Checked;

use super::{Cast, equal, refused};

fn report(id: &str, message_seq: u64, comment: &str) -> ReportMessageRequest {
    ReportMessageRequest {
        conversation_id: id.to_owned(),
        message_seq,
        category: ReportCategory::Abuse.into(),
        comment: comment.to_owned(),
    }
}

async fn reports(client: &Client, resolved: bool) -> Checked<Vec<Report>> {
    let mut request = ListReportsRequest { page_size: 1, resolved, ..Default::default() };
    let mut found = Vec::new();
    loop {
        let page = client.call(request.clone()).await?;
        found.extend(page.reports);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(found);
        }
    }
}

fn resolve(report_id: &str, resolution: ReportResolution) -> ResolveReportRequest {
    ResolveReportRequest {
        report_id: report_id.to_owned(),
        resolution: resolution.into(),
        note: "warned".to_owned(),
    }
}

#[tokio::test]
async fn a_report_keeps_what_was_said_until_it_is_resolved() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let first = cast.bob.send(&id, "insult").await?.seq;
    let second = cast.bob.send(&id, "threat").await?.seq;
    let made = cast.carol.call(report(&id, first, "rude")).await?.report_id;
    // Once more is the same report.
    equal(cast.carol.call(report(&id, first, "rude")).await?.report_id, made.clone())?;
    cast.alice.call(report(&id, second, "")).await?;
    cast.bob.edit(&id, first, "never said it").await?;
    cast.bob.delete(&id, second).await?;
    let open = reports(&cast.app, false).await?;
    let said = |report: &Report| report.content.clone().unwrap_or_default().text;
    equal(open.iter().map(said).collect(), vec!["insult".to_owned(), "threat".to_owned()])?;
    let one = open.first().cloned().unwrap_or_default();
    equal((one.report_id.as_str(), one.message_seq), (made.as_str(), first))?;
    equal((one.sender_id.as_str(), one.reporter_id.as_str()), ("bob", "carol"))?;
    equal((one.category(), one.comment.as_str()), (ReportCategory::Abuse, "rude"))?;
    let admin = cast.admin().await?;
    let resolved = admin.call(resolve(&made, ReportResolution::Acted)).await?;
    let resolved = resolved.report.unwrap_or_default();
    equal((resolved.content.clone(), resolved.resolution()), (None, ReportResolution::Acted))?;
    equal(resolved.resolution_note.as_str(), "warned")?;
    // A second resolution changes nothing.
    let again = cast.app.call(resolve(&made, ReportResolution::Dismissed)).await?;
    equal(again.report, Some(resolved.clone()))?;
    equal(reports(&cast.app, true).await?, vec![resolved])?;
    equal(reports(&cast.app, false).await?.len(), 1)
}

#[tokio::test]
async fn only_what_one_can_see_is_reported_and_only_by_others() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.alice.create_group("two", &["bob"]).await?.conversation_id;
    let seq = cast.bob.send(&id, "hello").await?.seq;
    refused(cast.carol.call(report(&id, seq, "")).await, Reason::ConversationNotFound)?;
    refused(cast.bob.call(report(&id, seq, "")).await, Reason::TargetIsCaller)?;
    refused(cast.alice.call(report(&id, 99, "")).await, Reason::MessageNotFound)?;
    let rule =
        ReportMessageRequest { category: ReportCategory::Rule.into(), ..report(&id, seq, "") };
    refused(cast.alice.call(rule).await, Reason::InvalidArgument)?;
    refused(cast.alice.call(ListReportsRequest::default()).await, Reason::CallerNotAllowed)?;
    let unknown = resolve(&"0".repeat(32), ReportResolution::Acted);
    refused(cast.app.call(unknown).await, Reason::ReportNotFound)?;
    // Who has left may still report what they saw.
    cast.bob.leave(&id).await?;
    let unseen = cast.alice.send(&id, "bye").await?.seq;
    refused(cast.bob.call(report(&id, unseen, "")).await, Reason::MessageNotFound)?;
    Ok(())
}

#[tokio::test]
async fn what_moderators_did_is_on_record() -> Checked {
    let cast = Cast::new().await?;
    let id = cast.group().await?;
    let seq = cast.bob.send(&id, "rude").await?.seq;
    cast.alice.delete(&id, seq).await?;
    let own = cast.bob.send(&id, "mine").await?.seq;
    // What somebody does to their own is no moderation.
    cast.bob.delete(&id, own).await?;
    let mute = MuteParticipantRequest {
        conversation_id: id.clone(),
        user_id: "bob".to_owned(),
        reason: "calm down".to_owned(),
        ..MuteParticipantRequest::default()
    };
    cast.alice.command(mute).await?;
    let list = |page_token: String| ListModerationActionsRequest {
        conversation_id: id.clone(),
        page_size: 3,
        page_token,
    };
    refused(cast.bob.call(list(String::new())).await, Reason::RoleTooLow)?;
    cast.alice.set_role(&id, "carol", Role::Admin).await?;
    let kick = KickParticipantRequest {
        conversation_id: id.clone(),
        user_id: "bob".to_owned(),
        reason: "enough".to_owned(),
        ..KickParticipantRequest::default()
    };
    cast.carol.command(kick).await?;
    let page = cast.carol.call(list(String::new())).await?;
    let rest = cast.carol.call(list(page.next_page_token)).await?;
    equal(rest.next_page_token.as_str(), "")?;
    let all = [page.actions, rest.actions].concat();
    let said: Vec<_> = all
        .iter()
        .map(|action| (action.kind(), action.actor_id.as_str(), action.target_id.as_str()))
        .collect();
    let due = vec![
        (ModerationKind::Kicked, "carol", "bob"),
        (ModerationKind::RoleChanged, "alice", "carol"),
        (ModerationKind::Muted, "alice", "bob"),
        (ModerationKind::MessageDeleted, "alice", "bob"),
    ];
    equal(said, due)?;
    equal(
        all.iter().map(|action| action.reason.as_str()).collect(),
        vec!["enough", "", "calm down", ""],
    )?;
    equal(all.last().map(|action| action.message_seq), Some(seq))
}
