"""The check that a SuperNode posts a reply of its own, no larger than an answer can be.

Flower's Fleet API takes a message that replies to nothing for an order of the ServerApp's, whoever
posts it, and hands it to the SuperNode that it names. And it makes room for as many pieces as a
message says it has.
"""

from __future__ import annotations

from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE, SUPERLINK_NODE_ID
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import ObjectTree
from google.protobuf.message import DecodeError

from mycroft_fl.protocol.envelope import MAX_CONTENT

PIECES_OF_ONE = MAX_CONTENT // FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE + 32
"""An envelope's pieces, and the records around it."""


class Forged(Exception):
    """No reply of this SuperNode; the text may go to whoever sent it."""


def check_reply(body: bytes, node: int) -> None:
    """Look at a request that posts replies. `Forged` unless it is one reply, by this very node."""
    try:
        request = PushMessagesRequest.FromString(body)
    except DecodeError as error:
        raise Forged("this is no reply") from error
    if len(request.messages_list) != 1 or len(request.message_object_trees) != 1:
        raise Forged("one reply goes with one request")
    metadata, tree = request.messages_list[0].metadata, request.message_object_trees[0]
    if not metadata.reply_to_message_id:
        raise Forged("a SuperNode sends replies alone")
    if metadata.src_node_id != node or metadata.dst_node_id != SUPERLINK_NODE_ID:
        raise Forged("a SuperNode replies to the ServerApp, in its own name")
    # Else one reply could come with a new tree each time.
    if tree.object_id != metadata.message_id:
        raise Forged("the pieces are another message's")
    if _more_pieces(tree, PIECES_OF_ONE):
        raise Forged(f"a reply has up to {PIECES_OF_ONE} pieces")


def _more_pieces(tree: ObjectTree, most: int) -> bool:
    """Check whether a tree has more nodes than `most`."""
    left, count = [tree], 0
    while left and count <= most:
        count += 1
        left += left.pop().children
    return count > most
