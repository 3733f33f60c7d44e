"""HAMi's annotations: cards of a node, what pods hold of them, whether its plugin is alive. Pure.

HAMi offers every card several times over (`nvidia.com/gpu` = cards x split count), so the cards
and what is left of them are read from annotations, never from the node's resources. Source:
HAMi pkg/device/devices.go, docs/develop/protocol.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from clusters.engine.raw import gpu_count, mappings, mebibytes, word
from clusters.engine.types import CardFacts

_PREFIX = "hami.io/node-"
_REGISTER = "register"  # node-nvidia-register, node-register-xpu, ...
_HANDSHAKE = "hami.io/node-handshake"  # for other vendors with one more word
_ALLOCATED, _PLANNED = "-devices-allocated", "-devices-to-allocate"
_VENDORS = {"mlu": "cambricon", "dcu": "hygon", "va": "vastai", "biren": "biren", "xpu": "kunlun"}
_STUCK = timedelta(minutes=5)
_CORDON = "hami.io/device-cordon"
_TIMES = ("%Y.%m.%d %H:%M:%S", "%Y-%m-%d %H:%M:%S")  # of old and new releases


class HamiNode(msgspec.Struct, frozen=True):
    """`cards` empty: the annotation is there, but cannot be read. `silent`: its plugin is."""

    vendor: str
    model: str
    cards: tuple[CardFacts, ...]
    silent: bool


class Held(msgspec.Struct, frozen=True):
    """A part of a card that one container of a pod holds."""

    uuid: str
    memory_mib: int
    cores: int  # percent


def read_hami(annotations: Mapping[str, str], now: datetime | None) -> HamiNode | None:
    """What HAMi says of a node; None: HAMi does not manage it.

    `now` None: nobody knows the time, so no handshake is called old.
    """
    keys = [key for key in annotations if key.startswith(_PREFIX) and _REGISTER in key]
    keys = sorted(key for key in keys if annotations[key])
    if not keys:
        return None
    cordoned = {uuid.strip() for uuid in annotations.get(_CORDON, "").split(",")}
    found = [pair for key in keys for pair in decode_register(annotations[key])]
    cards = {card.uuid: replace(card, cordoned=card.uuid in cordoned) for card, _ in found}
    return HamiNode(
        vendor=_vendor(keys[0]),
        model=min((model for _, model in found if model), default=""),
        cards=tuple(sorted(cards.values(), key=lambda card: (card.index or 0, card.uuid))),
        silent=any(_is_stuck(annotations[k], now) for k in annotations if k.startswith(_HANDSHAKE)),
    )


def decode_register(text: str) -> list[tuple[CardFacts, str]]:
    """Cards with their models, from either encoding; what cannot be read is left out."""
    if text.lstrip().startswith("["):
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError):
            return []
        cards = (_card(entry) for entry in mappings(entries))
    else:
        cards = (_old_card(part.split(",")) for part in text.split(":"))
    return [pair for pair in cards if pair is not None]


def held_by(annotations: Mapping[str, str]) -> tuple[Held, ...]:
    """Parts of cards that a pod's annotations name, in the order of its containers.

    What is allocated counts; while the scheduler is still at it, what it has planned.
    """
    named = [key for key in annotations if key.startswith("hami.io/")]
    if not named:
        return ()
    for suffix in (_ALLOCATED, _PLANNED):
        keys = sorted(key for key in named if key.endswith(suffix))
        found = tuple(held for key in keys for held in _helds(annotations[key]))
        if found:
            return found
    return ()


def with_use(cards: Iterable[CardFacts], helds: Iterable[Held]) -> tuple[CardFacts, ...]:
    """The cards with what pods hold of each."""
    by_uuid: dict[str, list[Held]] = {}
    for held in helds:
        by_uuid.setdefault(held.uuid, []).append(held)
    return tuple(_used(card, by_uuid.get(card.uuid, [])) for card in cards)


def _used(card: CardFacts, helds: list[Held]) -> CardFacts:
    return replace(
        card,
        shares_used=len(helds),
        memory_used_mib=sum(held.memory_mib for held in helds),
        cores_used=sum(held.cores for held in helds),
    )


def _card(entry: Mapping[str, object]) -> tuple[CardFacts, str] | None:
    """Fields that are missing were zero: the encoder leaves those out."""
    uuid = word(entry.get("id"))
    if not uuid:
        return None
    card = CardFacts(
        uuid=uuid,
        index=gpu_count(entry.get("index", 0)),
        memory_mib=mebibytes(entry.get("devmem")),
        cores=gpu_count(entry.get("devcore")),
        shares=gpu_count(entry.get("count", 0)) or 0,
        healthy=entry.get("health", False) is True,
    )
    return card, word(entry.get("type"))


def _old_card(fields: list[str]) -> tuple[CardFacts, str] | None:
    """uuid,count,devmem,devcore,type,numa,health[,index,mode]."""
    if len(fields) not in (7, 9) or not word(fields[0]):
        return None
    card = CardFacts(
        uuid=fields[0],
        index=gpu_count(fields[7]) if len(fields) == 9 else None,
        memory_mib=mebibytes(fields[2]),
        cores=gpu_count(fields[3]),
        shares=gpu_count(fields[1]) or 0,
        healthy=fields[6].lower() == "true",
    )
    return card, word(fields[4])


def _helds(text: str) -> Iterator[Held]:
    """Containers end with ";", devices with ":"; a device is uuid,type,MiB,percent."""
    for device in text.replace(";", ":").split(":"):
        fields = device.split(",")
        if len(fields) >= 4 and word(fields[0]):
            memory, cores = mebibytes(fields[2]), gpu_count(fields[3])
            yield Held(fields[0], memory or 0, cores or 0)


def _vendor(key: str) -> str:
    tail = key.removeprefix(_PREFIX).removesuffix("-register").removeprefix("register-")
    return word(_VENDORS.get(tail, tail.lower()))


def _is_stuck(handshake: str, now: datetime | None) -> bool:
    """The scheduler asked and its plugin has not answered for five minutes, or was given up."""
    state, _, since = handshake.partition("_")
    if state == "Deleted":
        return True
    asked = _time(since)
    if state != "Requesting" or now is None or asked is None:
        return False
    return now.replace(tzinfo=None) - asked > _STUCK


def _time(text: str) -> datetime | None:
    """A time of HAMi's scheduler, which writes it in its own zone: UTC in its image."""
    for form in _TIMES:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
