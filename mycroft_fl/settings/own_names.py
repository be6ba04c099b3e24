"""The names of models of one's own. Loads nothing heavy: policies are checked with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mycroft_fl.entry_points import MODELS, added
from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.settings.space_names import HEADS, TRAINED, is_encoder
from mycroft_fl.settings.toml_table import TomlTable

OPTIONS = ("head", "transform")
FITTED = ("random-forest", "decision-tree", "gradient-boosting", "logistic-regression")
"""Our own classifiers, which may stand before an encoder's name."""


@dataclass(frozen=True)
class OwnName:
    """`package.module:factory`, with `?head=fc` and `&transform=package.module:function` behind it.

    `head` is the path of the last linear layer inside the network, "" to find it. `transform`
    prepares a batch before the network sees it, "" for none.

    Example:
        >>> str(OwnName("mine:net", head="fc"))
        'mine:net?head=fc'
    """

    path: str
    head: str = ""
    transform: str = ""

    def __str__(self) -> str:
        given = [f"{key}={value}" for key in OPTIONS if (value := getattr(self, key))]
        return "?".join(filter(None, [self.path, "&".join(given)]))

    @property
    def paths(self) -> tuple[str, ...]:
        """All that is imported for it: what an owner has to trust."""
        return tuple(filter(None, (self.path, self.transform)))


def is_own(name: str) -> bool:
    """Say whether a model's name is the import path of one's own, or one that a package adds.

    Example:
        >>> is_own("mine:net"), is_own("mlp"), is_own("linear:timm:vit:none")
        (True, False, False)
    """
    kind, _, rest = name.partition(":")
    if name.startswith((*HEADS, *TRAINED)) or (kind in FITTED and is_encoder(rest)):
        return False
    return ":" in name or name.partition("?")[0] in added(MODELS)


def own_name(name: str) -> OwnName:
    """Read the parts of the name of a model of one's own. `SettingError` where it is none.

    Example:
        >>> own_name("mine:net?head=fc&transform=mine:scaled").transform
        'mine:scaled'
    """
    path, _, options = name.partition("?")
    path = path if ":" in path else added(MODELS).get(path, path)
    module, _, attribute = path.partition(":")
    if not (is_own(name) and module and attribute):
        raise SettingError(f"model '{name}' is no import path; give package.module:factory")
    given: dict[str, str] = {}
    for part in filter(None, options.split("&")):
        key, _, value = part.partition("=")
        if key not in OPTIONS or not value:
            raise SettingError(
                f"model '{name}' has an option '{part}'{suggestion(key, list(OPTIONS))}"
            )
        given[key] = value
    return OwnName(path, **given)


def model_name(table: TomlTable, default: str | None = None) -> str:
    """Read a file's `model`, with `head` and `transform` beside it, as one name. Raises the table's error."""
    name = table.one("model", str, default)
    given = {key: table.one(key, str) for key in OPTIONS if key in table.values}
    if not given:
        return name
    if not is_own(name):
        key = next(iter(given))
        raise table.wrong(
            key,
            f"is for a network of your own, and model is '{name}'; leave it out, or give an import path",
        )
    return str(replace(own_name(name), **given))
