//! The caller's list and the comparison of heads: order, pages, filters, and
//! what is shown when a membership changes in the middle of the question.

use crate::support::{Client, World, id, row};
use confab_kit::error::{Error, Reason};
use confab_proto::conversations::v1 as pb;

async fn list(client: &mut Client, request: pb::ListConversationsRequest) -> (Vec<String>, String) {
    let page = client.list_conversations(request).await.expect("a page").into_inner();
    let ids = page.conversations.into_iter().map(|item| {
        let (conversation, head) = (item.conversation.expect("set"), item.head.expect("set"));
        assert_eq!(conversation.conversation_id, head.conversation_id);
        conversation.conversation_id
    });
    (ids.collect(), page.next_page_token)
}

/// Conversations 1 to `count`, each active at a time of its own or a shared one.
async fn filled(count: u32) -> World {
    let world = World::new();
    for number in 1..=count {
        world.apply(row(&id(number), 5)).await;
        world.fake.script(|script| {
            script.memberships.insert(id(number), (true, 1, 0));
            script.heads.insert(id(number), (9, i64::from(number % 5) * 1000, 3));
        });
    }
    world
}

#[tokio::test]
async fn the_most_recently_active_come_first_page_by_page() {
    let world = filled(23).await;
    world.fake.script(|script| script.memberships.insert(id(7), (false, 1, 4)));
    let mut expected: Vec<u32> = (1..=23).filter(|number| *number != 7).collect();
    expected.sort_by_key(|number| (std::cmp::Reverse(number % 5), *number));
    let expected: Vec<String> = expected.into_iter().map(id).collect();

    let mut ada = world.client("ada");
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListConversationsRequest {
            page_size: 4,
            page_token: token.clone(),
            ..Default::default()
        };
        let (page, next) = list(&mut ada, request).await;
        assert!(page.len() <= 4);
        seen.extend(page);
        token = next;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, expected);
    let (whole, token) = list(&mut ada, pb::ListConversationsRequest::default()).await;
    assert_eq!((whole, token.as_str()), (expected, ""));
}

#[tokio::test]
async fn a_token_is_good_for_its_caller_and_filters_only() {
    let world = filled(5).await;
    let first = pb::ListConversationsRequest { page_size: 2, ..Default::default() };
    let (_, token) = list(&mut world.client("ada"), first.clone()).await;
    let next = pb::ListConversationsRequest { page_token: token.clone(), ..first };
    let forged = pb::ListConversationsRequest { page_token: format!("{token}A"), ..next.clone() };
    let archived = pb::ListConversationsRequest { include_archived: true, ..next.clone() };
    let titled = pb::ListConversationsRequest { title_query: "t".to_owned(), ..next.clone() };
    for (user, request) in
        [("bob", next.clone()), ("ada", forged), ("ada", archived), ("ada", titled)]
    {
        let refused = world.client(user).list_conversations(request).await.expect_err("refused");
        assert_eq!(Error::from_status(&refused).reason(), Reason::InvalidPageToken);
    }
    let wider = pb::ListConversationsRequest { page_size: 3, ..next };
    let (rest, _) = list(&mut world.client("ada"), wider).await;
    assert_eq!(rest.len(), 3, "the size of a page may change");
}

#[tokio::test]
async fn filters_hide_what_they_name() {
    let world = filled(0).await;
    for (number, kind, title, archived, deleted) in [
        (1, pb::ConversationType::Group, "Tea TIME", false, false),
        (2, pb::ConversationType::Group, "Straße", true, false),
        (3, pb::ConversationType::Direct, "", false, false),
        (4, pb::ConversationType::Group, "tea", false, true),
    ] {
        let mut row = row(&id(number), 5);
        if let Some(seen) = &mut row.conversation {
            seen.r#type = kind.into();
            seen.title = title.to_owned();
            let time = seen.create_time;
            seen.archive_time = time.filter(|_| archived);
            seen.delete_time = time.filter(|_| deleted);
        }
        world.apply(row).await;
        world.fake.script(|script| {
            script.memberships.insert(id(number), (true, 1, 0));
            script.heads.insert(id(number), (9, 1000, 3));
        });
    }
    let mut ada = world.client("ada");
    let all = pb::ListConversationsRequest::default();
    let direct = pb::ConversationType::Direct.into();
    for (request, expected) in [
        (all.clone(), vec![id(1), id(3)]),
        (pb::ListConversationsRequest { r#type: direct, ..all.clone() }, vec![id(3)]),
        (pb::ListConversationsRequest { title_query: "Ea t".into(), ..all.clone() }, vec![id(1)]),
        (
            pb::ListConversationsRequest { include_archived: true, ..all.clone() },
            vec![id(1), id(2), id(3)],
        ),
    ] {
        assert_eq!(list(&mut ada, request).await.0, expected);
    }
    let unknown = pb::ListConversationsRequest { r#type: 9, page_size: -1, ..all };
    let refused = ada.list_conversations(unknown).await.expect_err("refused");
    let refused = Error::from_status(&refused);
    let fields: Vec<&str> = refused.violations().iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["page_size", "type"]);
}

#[tokio::test]
async fn who_is_removed_meanwhile_does_not_see_past_the_leave() {
    let world = filled(3).await;
    world.fake.script(|script| {
        let mut later = script.memberships.clone();
        later.insert(id(2), (false, 1, 8));
        later.insert(id(3), (true, 9, 0));
        script.meanwhile = Some(later);
    });
    let (seen, _) = list(&mut world.client("ada"), pb::ListConversationsRequest::default()).await;
    assert_eq!(seen, [id(1)]);
}

#[tokio::test]
async fn heads_are_compared_up_to_the_leave() {
    let world = filled(3).await;
    world.fake.script(|script| script.memberships.insert(id(2), (false, 1, 6)));
    let cursor = |number, seq| pb::ConversationCursor { conversation_id: id(number), seq };
    let cursors = vec![cursor(1, 9), cursor(2, 3), cursor(3, 8), cursor(4, 0)];
    let mut ada = world.client("ada");
    let request = pb::CompareHeadsRequest { cursors };
    let moved = ada.compare_heads(request).await.expect("compared").into_inner().moved;
    let seen: Vec<(String, u64, u64, u64)> = moved
        .into_iter()
        .map(|head| (head.conversation_id, head.seq, head.unread_count, head.read_seq))
        .collect();
    assert_eq!(seen, [(id(2), 6, 3, 2), (id(3), 9, 3, 2)]);

    // Removed between the two looks: asked again, with the leave as the limit.
    world.fake.script(|script| {
        let mut later = script.memberships.clone();
        later.insert(id(3), (false, 1, 8));
        script.meanwhile = Some(later);
    });
    let request = pb::CompareHeadsRequest { cursors: vec![cursor(3, 7)] };
    let moved = ada.compare_heads(request).await.expect("compared").into_inner().moved;
    assert_eq!(moved.iter().map(|head| head.seq).collect::<Vec<_>>(), [8]);

    let twice = pb::CompareHeadsRequest { cursors: vec![cursor(3, 7), cursor(3, 8)] };
    let many = pb::CompareHeadsRequest { cursors: (0..1001).map(|n| cursor(n, 0)).collect() };
    for request in [twice, many] {
        let refused = ada.compare_heads(request).await.expect_err("refused");
        assert_eq!(Error::from_status(&refused).reason(), Reason::InvalidArgument);
    }
}

#[tokio::test]
async fn an_answer_is_bounded_in_bytes() {
    let world = filled(60).await;
    world.fake.script(|script| script.text = "x".repeat(100_000));
    let mut ada = world.client("ada");
    let first = pb::ListConversationsRequest { page_size: 100, ..Default::default() };
    let (page, token) = list(&mut ada, first.clone()).await;
    assert_eq!(page.len(), 32, "3 MiB are 31.5 such items");
    let second = pb::ListConversationsRequest { page_token: token, ..first };
    let (rest, token) = list(&mut ada, second).await;
    assert_eq!((rest.len(), token.as_str()), (28, ""));
    assert!(rest.iter().all(|id| !page.contains(id)));

    let cursors =
        (1..=60).map(|number| pb::ConversationCursor { conversation_id: id(number), seq: 1 });
    let request = pb::CompareHeadsRequest { cursors: cursors.collect() };
    let moved = ada.compare_heads(request).await.expect("compared").into_inner().moved;
    assert_eq!(moved.len(), 60, "every head is told");
    assert_eq!(moved.iter().filter(|head| head.last_message.is_some()).count(), 32);
}

#[tokio::test]
async fn heads_are_asked_for_in_bounded_calls() {
    let world = World::new();
    world.fake.script(|script| {
        for number in 0..150 {
            script.memberships.insert(id(number), (false, 1, 5));
            script.heads.insert(id(number), (9, 1000, 0));
        }
    });
    let cursors =
        (0..150).map(|number| pb::ConversationCursor { conversation_id: id(number), seq: 4 });
    let request = pb::CompareHeadsRequest { cursors: cursors.collect() };
    let moved = world.client("ada").compare_heads(request).await.expect("compared");
    assert_eq!(moved.into_inner().moved.len(), 150);
    let asked: Vec<usize> = world
        .fake
        .script(|script| script.asked_heads.iter().map(|one| one.queries.len()).collect());
    assert_eq!(asked, [64, 64, 22]);
}

#[tokio::test]
async fn pages_of_one_list_cost_one_look_at_all_heads() {
    let world = World::new();
    world.fake.script(|script| {
        for number in 0..250 {
            script.memberships.insert(id(number), (true, 1, 0));
            script.heads.insert(id(number), (9, 1000 + i64::from(number), 0));
        }
    });
    for number in (0..250).step_by(10) {
        world.apply(row(&id(number), 5)).await;
    }
    let mut request = pb::ListConversationsRequest { page_size: 10, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let (page, token) = list(&mut world.client("ada"), request.clone()).await;
        seen.extend(page);
        if token.is_empty() {
            break;
        }
        request.page_token = token;
    }
    let newest_first: Vec<String> = (0..250).step_by(10).rev().map(id).collect();
    assert_eq!(seen, newest_first);
    let asked: Vec<(bool, usize)> = world.fake.script(|script| {
        script.asked_heads.iter().map(|one| (one.positions_only, one.queries.len())).collect()
    });
    // All positions once, then what each page shows.
    assert_eq!(asked, [(true, 250), (false, 10), (false, 10), (false, 5)]);
}
