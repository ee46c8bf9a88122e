"""The stream of a small client of Confab, to be read and copied.

The next event of a log is the cursor plus one, or a gap says what is not pushed and is paged.
Everything else is an error. So nothing is missed in silence, whatever happens to connections and
servers, and cursors are all that there is to go on from.
"""

import asyncio
import contextlib

import grpc
from confab.messages.v1 import messages_pb2 as messages
from confab.participants.v1 import inbox_pb2 as inbox
from confab.participants.v1 import participants_pb2 as participants
from confab.realtime.v1 import realtime_pb2 as realtime
from confab.realtime.v1 import realtime_pb2_grpc

from confab_client import CHANNEL, Backoff, Refused

# Seconds: the first frame may take so long, and acknowledgements are so far apart.
WELCOME, ACK_INTERVAL = 10, 0.2
# The inbox's name among the cursors, as in frames that are about it.
INBOX = ""
# By number, as they come inside of streams.
CODES = {code.value[0]: code for code in grpc.StatusCode}
# What a write on a connection that is gone fails with. Whoever reads from it hears why.
GONE = (grpc.aio.AioRpcError, asyncio.InvalidStateError)


class BrokenContract(Exception):
    """The server left something out. To go on could hide a loss."""


class Stream:
    """Everything that happens, each event once and in order, over as many connections as it takes:

        stream = Stream(confab, {conversation_id: 0})
        async for update in stream:
            ...  # store it

    An event counts as stored when the next one is asked for. Then its cursor moves and is
    acknowledged. Keep `stream.cursors` beside what you store, and begin from them the next time.

    `cursors`: the last seq stored of each conversation to watch, 0 for all of it, and of the inbox,
    left out on a new device. `subscribe`: for clients that cannot stream both ways; it brings the
    same. `resume_session`: lets the server remember what is watched and stored.

    Updates are the frames' messages. A Gap among them is what this user may not see: read anew
    what you keep of the conversation.
    """

    def __init__(self, confab, cursors, subscribe=False, resume_session=False):
        self.confab, self.cursors = confab, dict(cursors)
        self.subscribe, self.resume_session = subscribe, resume_session
        self.session_id = ""
        self.connections = 0
        # Its own connection: what is not read yet must not hold up the answers to calls.
        self.stub = realtime_pb2_grpc.RealtimeServiceStub(
            grpc.aio.insecure_channel(confab.address, CHANNEL)
        )
        self.call = None
        self.brought, self.acked = {}, {}
        self.writing = asyncio.Lock()
        self.closing = False

    async def __aiter__(self):
        backoff, denied = Backoff(), False
        while True:
            acknowledging = None
            try:
                await self._open()
                backoff, denied = Backoff(), False
                acknowledging = asyncio.create_task(self._keep_acknowledging())
                async for update in self._updates():
                    yield update
                refused = Refused(grpc.StatusCode.UNAVAILABLE, "the stream ended")
            except grpc.aio.AioRpcError as error:
                refused = Refused.of(error)
            except Refused as error:
                refused = error
            finally:
                if acknowledging:
                    acknowledging.cancel()
                if self.call:
                    self.call.cancel()
            if self.closing:
                return
            if refused.reason == "SESSION_LOST":
                self.session_id = ""  # Now by cursors.
            elif refused.code == grpc.StatusCode.UNAUTHENTICATED and not denied:
                denied = True  # Once more, with the next token.
            elif refused.is_transient() or refused.reason == "NOT_WATCHED":
                # The latter when an ack crossed the end of its watch.
                await self._pause(refused, backoff.before_next_try(refused))
            else:
                raise refused

    async def watch(self, conversation_id, seq=0):
        """Watches one more conversation, from this cursor."""
        seq = self.cursors.setdefault(conversation_id, seq)
        if self.subscribe:
            # Opened anew, by cursors and with the larger set.
            self.session_id = ""
            if self.call:
                self.call.cancel()
        elif self.connections > 0:
            self.brought[conversation_id] = seq
            watch = {"add": _list_of({conversation_id: seq})}
            await self._write(realtime.ConnectRequest(watch=watch))

    async def acknowledge(self):
        """Says what is stored, as far as this connection has brought it: one that resumed a session
        begins where that was acknowledged, which may be behind our cursors."""
        known = self.cursors.keys() & self.brought.keys()
        reached = {topic: min(self.cursors[topic], self.brought[topic]) for topic in known}
        news = {topic: seq for topic, seq in reached.items() if seq > self.acked.get(topic, 0)}
        if not news:
            return
        ack = {"cursors": _list_of(news), "inbox_seq": news.get(INBOX)}
        acked = self.acked
        if self.subscribe:
            request = realtime.AcknowledgeRequest(session_id=self.session_id, **ack)
            await self.confab.call(self.confab.realtime.Acknowledge, request)
        else:
            await self._write(realtime.ConnectRequest(ack=ack))
        acked.update(news)

    async def close(self):
        """Ends it after a last acknowledgement."""
        self.closing = True
        await self.acknowledge()
        if self.subscribe:
            self.call.cancel()
        else:
            with contextlib.suppress(*GONE):
                await self.call.done_writing()

    async def _open(self):
        """Says hello and waits for the welcome."""
        by_session = self.resume_session and self.session_id
        if by_session:
            hello = realtime.Hello(session_id=self.session_id)
        else:
            inbox_seq = self.cursors.get(INBOX)
            hello = realtime.Hello(watch=_list_of(self.cursors), inbox_seq=inbox_seq)
        metadata = self.confab.metadata()
        if self.subscribe:
            self.call = self.stub.Subscribe(
                realtime.SubscribeRequest(hello=hello), metadata=metadata
            )
        else:
            self.call = self.stub.Connect(metadata=metadata)
            await self._write(realtime.ConnectRequest(hello=hello))
        kind, welcome = await self._next_frame(WELCOME)
        if kind != "welcome":
            raise _farewell(welcome if kind == "goodbye" else None)
        self.session_id = welcome.session_id
        self.silence = 2 * welcome.heartbeat_interval.ToTimedelta().total_seconds()
        self.connections += 1
        if by_session:
            self.brought = {at.conversation_id: at.seq for at in welcome.watching}
            ours = ((topic, seq) for topic, seq in self.cursors.items() if topic != INBOX)
            if any(self.brought.get(topic, seq + 1) > seq for topic, seq in ours):
                # It lacks a conversation, or is ahead of what this device has stored.
                self.session_id = ""
                raise Refused(grpc.StatusCode.UNAVAILABLE, "another session", retry_after=0)
        else:
            self.cursors.setdefault(INBOX, welcome.head_inbox_seq)
            self.brought = dict(self.cursors)
        self.acked = dict(self.brought)

    async def _updates(self):
        """What one connection brings."""
        while True:
            kind, frame = await self._next_frame(self.silence)
            if kind == "end":
                return
            if kind == "goodbye":
                raise _farewell(frame)
            if kind in ("event", "inbox"):
                topic, seq = _place_of(frame)
                if self._is_news(topic, seq, seq):
                    # Also of a kind that this client does not know: it has its place all the same.
                    yield frame
                    self.cursors[topic] = seq
            elif kind == "gap":
                if self._is_news(frame.conversation_id, frame.from_seq, frame.to_seq):
                    async for update in self._page(frame.conversation_id, frame.to_seq):
                        yield update
            elif kind == "synced":
                cursor = self.cursors.get(frame.conversation_id, frame.seq)
                if frame.seq > cursor:
                    topic = frame.conversation_id or "inbox"
                    raise BrokenContract(f"{topic}: synced at {frame.seq} after {cursor}")
                yield frame
            elif kind == "watch_ended":
                self.cursors.pop(frame.conversation_id, None)
                yield frame
            elif kind is not None:
                yield frame
            # Else it is a frame of a newer server.

    def _is_news(self, topic, first, last):
        """Whether there is something to store. Not of what is not watched any more, and not where
        the session was behind."""
        self.brought[topic] = last
        cursor = self.cursors.get(topic)
        if cursor is None or last <= cursor:
            return False
        if first > cursor + 1:
            raise BrokenContract(f"{topic or 'inbox'}: {first} comes after {cursor}")
        if topic != INBOX:
            self.confab.note_head(topic, last)
        return True

    async def _page(self, topic, to_seq):
        """Gets what the server does not push."""
        while (cursor := self.cursors[topic]) < to_seq:
            page = [(_place_of(event)[1], event) for event in await self._list(topic, cursor)]
            page = [(seq, event) for seq, event in page if seq <= to_seq]
            # What the page leaves out may not be seen; an empty one leaves out all of it.
            for seq, event in page or [(to_seq + 1, None)]:
                if seq > self.cursors[topic] + 1:
                    hidden = {"from_seq": self.cursors[topic] + 1, "to_seq": seq - 1}
                    yield realtime.Gap(conversation_id=topic, **hidden)
                    self.cursors[topic] = seq - 1
                if event:
                    yield event
                    self.cursors[topic] = seq

    async def _list(self, topic, after):
        if topic == INBOX:
            request = participants.ListInboxEventsRequest(after_inbox_seq=after)
            answer = await self.confab.call(self.confab.participants.ListInboxEvents, request)
        else:
            request = messages.ListEventsRequest(conversation_id=topic, after_seq=after)
            answer = await self.confab.call(self.confab.messages.ListEvents, request)
        return answer.events

    async def _next_frame(self, limit):
        """The next frame and its kind. A silence of `limit` seconds: the connection is dead."""
        reading = asyncio.ensure_future(self.call.read())
        done, _ = await asyncio.wait({reading}, timeout=limit)
        if not done:
            raise Refused(grpc.StatusCode.UNAVAILABLE, f"nothing was heard for {limit} s")
        if reading.cancelled() or reading.result() is grpc.aio.EOF:
            return "end", None
        kind = reading.result().WhichOneof("frame")
        return kind, kind and getattr(reading.result(), kind)

    async def _write(self, request):
        with contextlib.suppress(*GONE):
            async with self.writing:
                await self.call.write(request)

    async def _pause(self, _refused, delay):
        await asyncio.sleep(delay)

    async def _keep_acknowledging(self):
        with contextlib.suppress(Refused):  # The next connection tells of it.
            while True:
                await asyncio.sleep(ACK_INTERVAL)
                await self.acknowledge()


def _list_of(cursors):
    logs = ((topic, seq) for topic, seq in cursors.items() if topic != INBOX)
    return [{"conversation_id": topic, "seq": seq} for topic, seq in logs]


def _place_of(event):
    """Of which log an event is, and where in it."""
    if isinstance(event, inbox.InboxEvent):
        return INBOX, event.inbox_seq
    return event.conversation_id, event.seq


def _farewell(goodbye):
    """Why the server ends the stream."""
    if goodbye is None:
        return Refused(grpc.StatusCode.UNAVAILABLE, "the stream ended before it began")
    failure, retry_after = goodbye.failure, None
    code = CODES.get(failure.code, grpc.StatusCode.UNKNOWN)
    if goodbye.HasField("retry_after"):
        retry_after = goodbye.retry_after.ToTimedelta().total_seconds()
    return Refused(code, failure.message, failure.details, retry_after)
