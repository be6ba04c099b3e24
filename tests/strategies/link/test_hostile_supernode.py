"""A SuperNode that was admitted and is hostile, at Flower's own app behind the public port's filter."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID, TIMESTAMP_HEADER
from flwr.common.serde import message_from_proto, recorddict_to_proto
from flwr.proto.fleet_pb2 import (
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    PushMessagesResponse,
)
from flwr.proto.message_pb2 import Message, Metadata, ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.supercore.constant import (
    FLEET_HTTP_PUBLIC_KEY_HEADER,
    FLEET_HTTP_SIGNATURE_HEADER,
    NOOP_FEDERATION_ID,
    TaskType,
)
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from google.protobuf.message import Message as Proto

from strategies.link.front import FLEET, HEALTH, REPLIES, Front
from strategies.link.replies import PIECES_OF_ONE

PULL = "/v1/fleet/pull-messages"


def name_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


@dataclass
class Link:
    """Flower's app with two SuperNodes, `mine` and `other`, and a run that goes on."""

    app: Any
    keys: dict[str, Any]
    nodes: dict[str, int]
    run: int

    @property
    def state(self) -> Any:
        return self.app.state.linkstate_factory.state()

    def ask(
        self, path: str, body: Proto | None = None, *, host: str = "lab", who: str = "mine"
    ) -> tuple[int, bytes]:
        """What is answered at the public port to a request that `who` has signed."""
        at = now().isoformat()
        key = self.keys[who]
        content = body.SerializeToString() if body is not None else b""
        headers = {
            FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(public_key_to_bytes(key.public_key())).decode(),
            FLEET_HTTP_SIGNATURE_HEADER: b64encode(sign_message(key, at.encode())).decode(),
            TIMESTAMP_HEADER: at, "host": host, "content-type": PROTOBUF_MEDIA_TYPE,
        }  # fmt: skip
        if body is not None:
            headers["content-length"] = str(len(content))
        scope = {
            "type": "http", "method": "POST" if body is not None else "GET", "path": path,
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            "scheme": "https", "server": ("127.0.0.1", 9092), "state": {}, "query_string": b"",
            "root_path": "", "http_version": "1.1",
        }  # fmt: skip
        status, said = 0, b""

        async def receive() -> Any:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, said
            status = message.get("status", status)
            said += message.get("body", b"")

        front = Front(self.app, lambda key: self.state.get_node_id_by_public_key(key))
        asyncio.run(front(scope, receive, send))
        return status, said

    def message(self, content: str, **metadata: Any) -> Message:
        """A message as Flower's SuperNode posts it."""
        output = {
            "run_id": self.run, "message_id": name_of(content), "ttl": 60.0, "message_type": "query",
            "created_at": now().timestamp(), "src_node_id": self.nodes["mine"],
            "dst_node_id": SUPERLINK_NODE_ID, "group_id": "1",
        } | metadata  # fmt: skip
        return Message(metadata=Metadata(**output), content=recorddict_to_proto(RecordDict()))

    def transport(self, message: Message, tree: ObjectTree | None = None) -> tuple[int, bytes]:
        tree = tree or ObjectTree(object_id=message.metadata.message_id)
        return self.ask(
            REPLIES,
            PushMessagesRequest(
                node=Node(node_id=self.nodes["mine"]),
                messages_list=[message],
                message_object_trees=[tree],
            ),
        )

    def order(self, node: str) -> str:
        """Have the ServerApp send something to a SuperNode; its id."""
        proto = self.message(
            f"order for {node}", src_node_id=SUPERLINK_NODE_ID, dst_node_id=self.nodes[node]
        )
        assert self.state.store_message_ins(message_from_proto(proto))
        return proto.metadata.message_id

    def waits_for(self, node: str) -> list[Any]:
        """What the SuperLink has for a SuperNode."""
        return list(self.state.get_message_ins(node_id=self.nodes[node], limit=10))


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Link:
    from flwr.superlink.main import create_app

    monkeypatch.delenv("FLWR_DATABASE", raising=False)
    app = create_app()
    state = app.state.linkstate_factory.state()
    keys = {name: ec.generate_private_key(ec.SECP384R1()) for name in ("mine", "other")}
    nodes = {
        name: state.create_node("aid", name, public_key_to_bytes(key.public_key()), 0)
        for name, key in keys.items()
    }
    assert all(state.activate_node(node, 30) for node in nodes.values())
    run = state.create_run(
        None, None, "hash", {}, NOOP_FEDERATION_ID, None, "aid", TaskType.SERVER_APP
    )
    (task,) = state.get_tasks(run_ids=[run])
    assert state.claim_task(task.task_id)
    assert state.activate_task(task.task_id)
    return Link(app, keys, nodes, run)


def test_a_supernodes_own_reply_arrives(link: Link) -> None:
    asked = link.order("mine")
    assert len(link.waits_for("mine")) == 1
    reply = link.message("reply", reply_to_message_id=asked)
    pieces = [ObjectTree(object_id=name_of(f"piece {n}")) for n in range(PIECES_OF_ONE - 1)]
    status, said = link.transport(reply, ObjectTree(object_id=name_of("reply"), children=pieces))
    assert status == 200
    assert len(PushMessagesResponse.FromString(said).objects_to_push) == PIECES_OF_ONE


def test_a_supernode_gives_no_orders_to_another(link: Link) -> None:
    for source in (SUPERLINK_NODE_ID, link.nodes["mine"], link.nodes["other"]):
        order = link.message(
            f"order of {source}", src_node_id=source, dst_node_id=link.nodes["other"]
        )
        status, said = link.transport(order)
        assert (status, b"replies alone" in said) == (403, True)
    assert link.waits_for("other") == []


def test_a_supernode_replies_in_its_own_name_alone(link: Link) -> None:
    asked = link.order("other")
    assert len(link.waits_for("other")) == 1
    for changed in (
        {"src_node_id": link.nodes["other"]}, {"dst_node_id": link.nodes["other"]},
        {"src_node_id": SUPERLINK_NODE_ID, "dst_node_id": link.nodes["other"]},
    ):  # fmt: skip
        status, said = link.transport(link.message("forged", reply_to_message_id=asked, **changed))
        assert (status, b"in its own name" in said) == (403, True)
    # In its own name it is not the one who was asked.
    assert link.transport(link.message("meddling", reply_to_message_id=asked))[0] == 200
    reply = link.state.get_message_res({asked}, link.run)
    assert not any(each.has_content() for each in reply)


def test_a_reply_names_no_more_pieces_than_an_answer_has(link: Link) -> None:
    reply = link.message("reply", reply_to_message_id=link.order("mine"))
    link.waits_for("mine")
    many = [ObjectTree(object_id=name_of(f"piece {n}")) for n in range(PIECES_OF_ONE)]
    deep = ObjectTree(object_id=name_of("deep"), children=many)
    for tree in (
        ObjectTree(object_id=name_of("reply"), children=many),
        ObjectTree(object_id=name_of("reply"), children=[deep]),
        ObjectTree(object_id=name_of("a root of its own"), children=many[:3]),
    ):
        status, said = link.transport(reply, tree)
        assert (status, b"pieces" in said) == (403, True)


def test_what_is_no_single_reply_goes_no_further(link: Link) -> None:
    node = Node(node_id=link.nodes["mine"])
    one = link.message("one", reply_to_message_id=link.order("mine"))
    tree = ObjectTree(object_id=name_of("one"))
    for messages, trees in ((0, 0), (0, 1), (1, 0), (2, 2), (1, 2)):
        request = PushMessagesRequest(
            node=node, messages_list=[one] * messages, message_object_trees=[tree] * trees
        )
        status, said = link.ask(REPLIES, request)
        assert (status, b"one reply" in said) == (403, True)


def test_a_supernode_does_nothing_under_another_nodes_id(link: Link) -> None:
    link.order("other")
    other = PullMessagesRequest(node=Node(node_id=link.nodes["other"]))
    assert link.ask(PULL, other)[0] == 401
    for path in FLEET - {REPLIES}:
        # Each kind of request has the node in its first field, or no node at all.
        assert link.ask(path, other)[0] >= 400, path
    mine = PullMessagesRequest(node=Node(node_id=link.nodes["mine"]))
    status, said = link.ask(PULL, mine)
    assert (status, len(PullMessagesResponse.FromString(said).messages_list)) == (200, 0)
    assert len(link.waits_for("other")) == 1


@pytest.mark.parametrize("host", ["x/?", "x/health?", "[:.]", "[", "x#", "a" * 9000, "", "x@y"])
def test_no_host_that_is_named_reaches_flower(link: Link, host: str) -> None:
    # Flower checks a path that its framework makes of the host and the path together.
    assert link.ask(HEALTH, host=host)[0] == 200
    other = PullMessagesRequest(node=Node(node_id=link.nodes["other"]))
    assert link.ask(PULL, other, host=host)[0] == 401
