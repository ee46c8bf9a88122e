"""The scenario that every client of Confab must pass, for the client beside it.

Two users chat over Connect and two over Subscribe while whoever runs this kills the server with
SIGKILL (asked for by a line `kill` on standard output), later stops it with SIGTERM (`stop`), and
starts it again each time on the same port. Each device must be brought every event once, in order.
Last comes one line of JSON with what they saw. tests/suite/clients is who runs this.

    TOKENS='{"USER": "TOKEN", …}' python scenario.py ADDRESS [LONG_CONVERSATION_ID]
"""

import asyncio
import json
import os
import sys
import uuid

from confab.conversations.v1 import conversations_pb2 as conversations
from confab.messages.v1 import events_pb2 as events
from confab.messages.v1 import messages_pb2 as messages
from confab.participants.v1 import inbox_pb2 as inbox
from confab.realtime.v1 import realtime_pb2 as realtime
from confab.types.v1 import types_pb2 as types

from confab_client import Confab
from confab_stream import BrokenContract, Stream

ADDRESS, *LONG_CONVERSATIONS = sys.argv[1:]
TOKENS = json.loads(os.environ["TOKENS"])
# Events between two things that happen to the server, between two messages of a user; in seconds
# how long something may take.
ROUND, PAUSE, LIMIT = 20, 0.01, 60


class Violation(Exception):
    """A promise is broken."""


def check(condition, what):
    if not condition:
        raise Violation(what)


async def until(condition, what):
    """Waits for it. What went wrong elsewhere ends the whole group of tasks, this one too."""
    try:
        async with asyncio.timeout(LIMIT):
            while not condition():
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise Violation(f"not within {LIMIT} s: {what}") from None


class Observed(Stream):
    """A stream that notes what it does by itself."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.sessions, self.pauses, self.resumed_at = [], [], {}
        self.gaps = self.unknown_frames = 0

    async def _open(self):
        await super()._open()
        self.sessions.append(self.session_id)
        self.resumed_at = dict(self.brought)

    async def _next_frame(self, limit):
        kind, frame = await super()._next_frame(limit)
        self.unknown_frames += kind is None
        return kind, frame

    async def _pause(self, refused, delay):
        self.pauses.append((refused.reason, refused.retry_after, delay))
        await super()._pause(refused, delay)

    async def _page(self, topic, to_seq):
        self.gaps += 1
        async for update in super()._page(topic, to_seq):
            yield update


class Device:
    """One device of a user, and the logs as its stream brought them."""

    def __init__(self, group, user, cursors, **options):
        self.user, self.confab = user, Confab(ADDRESS, lambda: TOKENS[user])
        self.stream = Observed(self.confab, cursors, **options)
        self.logs = {}
        self.task = group.create_task(self.follow())

    async def follow(self):
        async for update in self.stream:
            if isinstance(update, inbox.InboxEvent) and update.HasField("joined"):
                await self.stream.watch(update.conversation_id)
            elif isinstance(update, events.Event):
                log = self.logs.setdefault(update.conversation_id, [])
                due = log[-1].seq + 1 if log else self.stream.cursors[update.conversation_id] + 1
                check(update.seq == due, f"{self.user}: event {update.seq} came where {due} is due")
                log.append(update)
            check(not isinstance(update, realtime.Gap), f"{self.user} may see everything")

    def count(self, conversation):
        return len(self.logs.get(conversation, ()))

    async def end(self):
        await self.stream.close()
        await self.task


async def talk(device, conversation, sent, stop):
    """Sends until told to stop, whatever the server does."""
    while not stop.is_set():
        message = await device.confab.send(conversation, f"{device.user}: {len(sent)}")
        check(message.request_id not in sent, "a request id came twice")
        sent[message.request_id] = message.seq
        await asyncio.sleep(PAUSE)


async def chat(group, subscribe, barrier):
    way = "subscribe" if subscribe else "connect"
    # She hears by her inbox of a conversation that begins while she is connected, and goes on
    # by cursors; he by the session.
    alice = Device(group, f"alice-{way}", {}, subscribe=subscribe)
    await until(lambda: alice.stream.connections, "the first welcome")
    conversation = await create(alice, f"bob-{way}")
    bob = Device(group, f"bob-{way}", {conversation: 0}, subscribe=subscribe, resume_session=True)
    devices = alice, bob
    await until(lambda: all(device.count(conversation) for device in devices), "the first event")
    await send_twice(bob, conversation)
    await react_and_read(bob, conversation)

    sent, stop = {}, asyncio.Event()
    talks = [group.create_task(talk(device, conversation, sent, stop)) for device in devices]
    await another_round(devices, conversation)
    for what in ("kill", "stop"):
        again = connected_again(devices)
        if await barrier.wait() == 0:
            print(what, flush=True)
        await until(again, "new connections")
        await another_round(devices, conversation)
    stop.set()
    await asyncio.gather(*talks)
    return conversation, alice, bob, sent


async def create(device, other):
    request = conversations.CreateConversationRequest(
        request_id=str(uuid.uuid4()),
        type=types.CONVERSATION_TYPE_GROUP,
        participant_ids=[other],
        title="two users chat",
    )
    answer = await device.confab.call(device.confab.conversations.CreateConversation, request)
    return answer.conversation.conversation_id


async def send_twice(device, conversation):
    """What is sent again with the same ids is the same message."""
    ids = {"request_id": str(uuid.uuid4()), "after_seq": 1}
    first = await device.confab.send(conversation, "once", **ids)
    again = await device.confab.send(conversation, "once", **ids)
    check(first.seq == again.seq == 2, f"one request is the messages {first.seq} and {again.seq}")


async def react_and_read(device, conversation):
    """What a client of an older contract has no names for: an event and a frame."""
    confab, ids = device.confab, {"conversation_id": conversation, "request_id": str(uuid.uuid4())}
    reaction = messages.AddReactionRequest(message_seq=2, emoji="+", **ids)
    await confab.call(confab.messages.AddReaction, reaction)
    read = messages.MarkReadRequest(conversation_id=conversation, read_seq=2)
    await confab.call(confab.messages.MarkRead, read)


def connected_again(devices):
    """Whether each has had another connection since this was called."""
    before = [device.stream.connections for device in devices]
    pairs = list(zip(devices, before, strict=True))
    return lambda: all(device.stream.connections > then for device, then in pairs)


async def another_round(devices, conversation):
    before = [device.count(conversation) for device in devices]
    pairs = list(zip(devices, before, strict=True))
    await until(
        lambda: all(device.count(conversation) >= then + ROUND for device, then in pairs),
        f"{ROUND} more events",
    )


async def resume_by_session(group, bob, alice, conversation):
    """Another life of his application: it kept its cursors and the session's id."""
    await bob.end()
    cursors, session_id, subscribe = bob.stream.cursors, bob.stream.session_id, bob.stream.subscribe
    later = Device(group, bob.user, cursors, subscribe=subscribe, resume_session=True)
    later.stream.session_id = session_id
    message = await alice.confab.send(conversation, "are you back?")
    await until(lambda: later.count(conversation), "what was said meanwhile")
    check(later.logs[conversation][0].seq == message.seq, "it goes on after what was stored")
    check(later.stream.session_id == session_id, "the session was not resumed")
    at, stored = later.stream.resumed_at[conversation], cursors[conversation]
    check(at == stored, f"the session is at {at}, but {stored} was acknowledged")
    return later


async def lose_session(group, bob, conversation, head):
    """A session that nobody knows: everything comes by cursors."""
    options = {"subscribe": bob.stream.subscribe, "resume_session": True}
    device = Device(group, bob.user, {conversation: 0}, **options)
    device.stream.session_id = str(uuid.uuid4())
    await until(lambda: device.count(conversation) == head, "everything, by cursors")
    return device


async def finish(group, conversation, alice, bob, sent):
    """What the streams brought is what the log says, and what was acknowledged is in it once."""
    later = await resume_by_session(group, bob, alice, conversation)
    head = later.logs[conversation][-1].seq
    await until(lambda: alice.count(conversation) == head, "her last event")
    lost = await lose_session(group, bob, conversation, head)
    hers, his, anew = (device.logs[conversation] for device in (alice, bob, lost))
    brought = hers, his + later.logs[conversation], anew
    readers = [[[event.seq, event.request_id] for event in log] for log in brought]
    for log in readers:
        check_log(log, head, sent)
    check_streams(alice.stream, bob.stream)
    unknown = {
        "unknown_kinds": sum(event.WhichOneof("kind") is None for event in hers),
        "unknown_frames": alice.stream.unknown_frames,
    }
    for device in (alice, later, lost):
        await device.end()
    return {"conversation": conversation, "readers": readers, "sent": sent} | unknown


def check_log(log, head, sent):
    check([seq for seq, _ in log] == list(range(1, head + 1)), "the log has a hole")
    places = {request_id: seq for seq, request_id in log}
    check(len(places) == len(log), "a request is there twice")
    for request_id, seq in sent.items():
        check(places.get(request_id) == seq, f"message {seq} is missing")


def check_streams(by_cursors, by_session):
    resumed = len(by_session.sessions) > 2 and len(set(by_session.sessions)) == 1
    check(resumed, "he resumes his session")
    check(len(set(by_cursors.sessions)) > 2, "she resumes by cursors")
    for stream in (by_cursors, by_session):
        drained = [pause for pause in stream.pauses if pause[0] == "DRAINING"]
        obeyed = any(delay == asked for _, asked, delay in drained)
        check(obeyed, "the server said when to come back")


async def read_long(group, conversation):
    """More than the server pushes: it announces a gap, which is paged."""
    device = Device(group, "late", {conversation: 0})
    head = await device.confab.head(conversation)
    await until(lambda: device.count(conversation) == head, "the long conversation")
    check(device.stream.gaps > 0, "no gap was announced")
    await device.end()


async def main():
    barrier = asyncio.Barrier(2)
    async with asyncio.TaskGroup() as group:
        for conversation in LONG_CONVERSATIONS:
            await read_long(group, conversation)
        ways = [group.create_task(chat(group, way, barrier)) for way in (False, True)]
        chatted = await asyncio.gather(*ways)
        print(json.dumps([await finish(group, *chat) for chat in chatted]), flush=True)


try:
    asyncio.run(main())
except* (Violation, BrokenContract) as broken:
    sys.exit(f"VIOLATION: {'; '.join(map(str, broken.exceptions))}")
