"""A small client of Confab, to be read and copied. Here: calls and commands; `confab_stream.py`
has the stream.

Commands carry a `request_id` and an `after_seq`. Both are fixed before the first try, and the very
same command is tried again until its outcome is known: so each takes effect once.

The modules of the contract are made with

    python -m grpc_tools.protoc -I proto --python_out=DIR --grpc_python_out=DIR \\
        $(find proto -name '*.proto')

and DIR in PYTHONPATH.
"""

import asyncio
import random
import uuid

import grpc
from confab.conversations.v1 import conversations_pb2 as conversations
from confab.conversations.v1 import conversations_pb2_grpc
from confab.messages.v1 import messages_pb2 as messages
from confab.messages.v1 import messages_pb2_grpc
from confab.participants.v1 import participants_pb2_grpc
from confab.realtime.v1 import realtime_pb2_grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

# Seconds: one try of a call, and all its tries together.
ATTEMPT, DEADLINE = 10, 30
# A dead connection is noticed, a server that is back is found soon, and each channel has a
# connection of its own (gRPC would share one between channels to the same address).
CHANNEL = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
]
# What the same request may meet once, and not again.
TRANSIENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "CANCELLED")


class Refused(Exception):
    """There is no answer: the server says why, or it cannot be reached."""

    def __init__(self, code, message, details=(), retry_after=None):
        self.code = code
        # As docs/errors.md lists them; empty when the answer is not Confab's.
        self.reason = ""
        # In how many seconds to come back; None when the server does not say.
        self.retry_after = retry_after
        for detail in details:
            info, retry = ErrorInfo(), RetryInfo()
            if detail.Unpack(info):
                self.reason = info.reason
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
        super().__init__(f"{code.name} {self.reason}: {message}")

    @staticmethod
    def of(error):
        """From a failed RPC."""
        status = Status()
        for name, value in error.trailing_metadata() or ():
            if name == "grpc-status-details-bin":
                status.ParseFromString(value)
        return Refused(error.code(), error.details(), status.details)

    def is_transient(self):
        """Whether the same request can succeed later although nobody changes anything."""
        return self.retry_after is not None or self.code.name in TRANSIENT


class Backoff:
    """Delays that double, with jitter: clients that were cut off together come back apart."""

    def __init__(self, first=0.1, longest=5.0):
        self.delay, self.longest = first, longest

    def before_next_try(self, refused):
        """Seconds; as many as the server says, if it does."""
        if refused.retry_after is not None:
            return refused.retry_after
        delay, self.delay = self.delay, min(self.delay * 2, self.longest)
        return delay * random.uniform(0.5, 1.5)


class Confab:
    """Calls. `token` is a function and is asked for each try: it may give a newer one."""

    def __init__(self, address, token):
        self.address, self.token = address, token
        self.channel = grpc.aio.insecure_channel(address, CHANNEL)
        self.conversations = conversations_pb2_grpc.ConversationsServiceStub(self.channel)
        self.messages = messages_pb2_grpc.MessagesServiceStub(self.channel)
        self.participants = participants_pb2_grpc.ParticipantsServiceStub(self.channel)
        self.realtime = realtime_pb2_grpc.RealtimeServiceStub(self.channel)
        # The highest seq that is known of each conversation.
        self.heads = {}

    def metadata(self):
        return (("authorization", f"Bearer {self.token()}"),)

    async def call(self, method, request):
        """Makes a unary call, and again while that can help. Every RPC of Confab may be repeated:
        reads change nothing, and commands carry their ids."""
        now = asyncio.get_running_loop().time
        ends, backoff, denied = now() + DEADLINE, Backoff(), False
        while True:
            try:
                limit = min(ATTEMPT, ends - now())
                return await method(request, metadata=self.metadata(), timeout=limit)
            except grpc.aio.AioRpcError as error:
                refused = Refused.of(error)
            if refused.code == grpc.StatusCode.UNAUTHENTICATED and not denied:
                denied = True  # The token may just have ended: once more, with the next one.
                continue
            delay = backoff.before_next_try(refused)
            if not refused.is_transient() or now() + delay > ends:
                # After a transient one a command may have happened, or may yet: keep its ids and
                # send it again as it is, after a restart of the application, too.
                raise refused
            await asyncio.sleep(delay)

    async def head(self, conversation_id):
        """The highest seq that is known of a conversation; asks when none is."""
        if conversation_id not in self.heads:
            request = conversations.GetConversationRequest(conversation_id=conversation_id)
            answer = await self.call(self.conversations.GetConversation, request)
            self.note_head(conversation_id, answer.as_of_seq)
        return self.heads[conversation_id]

    def note_head(self, conversation_id, seq):
        self.heads[conversation_id] = max(seq, self.heads.get(conversation_id, 0))

    async def send(self, conversation_id, text, request_id=None, after_seq=0):
        """Sends a message, once. To settle an earlier try, give the ids that it had."""
        if request_id is None:
            request_id, after_seq = str(uuid.uuid4()), await self.head(conversation_id)
        request = messages.SendMessageRequest(
            conversation_id=conversation_id,
            request_id=request_id,
            after_seq=after_seq,
            content={"text": text},
        )
        answer = await self.call(self.messages.SendMessage, request)
        self.note_head(conversation_id, answer.message.seq)
        return answer.message
