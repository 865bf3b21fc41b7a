"""The table `mac` of a member: how its links make message codes, and with whose keys."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

__all__ = ["MAC_DEFAULTS", "MAC_KEY_BYTES", "Mac"]


class Mac(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Message codes (MAC) on all links of this member: every message carries one, but those of the
    kinds that its dialect exempts, and one that is wrong or missing changes nothing."""

    algorithm: Annotated[
        Literal["cup-ecb", "x9.9", "x9.19"],
        Meta(description="The rule. Only cup-ecb leaves a choice of cipher and chain."),
    ]
    keys: Annotated[
        Literal["link", "terminal"],
        Meta(
            description="link: both ends share the key that `key` names; terminal: each terminal "
            "of an acquirer has its own, which it downloads when it signs on."
        ),
    ] = "link"
    key: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_-]{0,16}$",
            description="Name of a link key (tapswitch keys link list); the bytes are in the file "
            "keys.link_keys_file, sealed.",
        ),
    ] = ""
    cipher: Annotated[
        Literal["", "des", "3des", "sm4"],
        Meta(description='x9.9 is des, x9.19 is 3des; cup-ecb without a word of it is "des".'),
    ] = ""
    key_bytes: Annotated[
        Literal[0, 8, 16],
        Meta(description="Length of the key: 8 of des, 16 of the others; 0: as the cipher has it."),
    ] = 0
    chain: Annotated[
        Literal["", "xor", "cbc", "retail"],
        Meta(
            description="cup-ecb: xor (the default) folds all blocks into one and encrypts its "
            "digits twice, cbc chains them; x9.9 is cbc, x9.19 is retail."
        ),
    ] = ""
    form: Annotated[
        Literal["", "hex", "binary"],
        Meta(
            description="The first eight hexadecimal digits of the last block (cup-ecb), or its "
            "bytes (the others)."
        ),
    ] = ""
    code_bytes: Annotated[
        Literal[4, 8],
        Meta(description="Bytes of a binary code that count; the rest of the field is zeros."),
    ] = 8

    def whole(self) -> "Mac":
        """The same with every parameter said."""
        cipher, chain, form = MAC_DEFAULTS[self.algorithm]
        used = self.cipher or cipher
        return msgspec.structs.replace(
            self,
            cipher=used,
            key_bytes=self.key_bytes or MAC_KEY_BYTES[used],
            chain=self.chain or chain,
            form=self.form or form,
        )


MAC_DEFAULTS: Final[dict[str, tuple[Any, Any, Any]]] = {
    "cup-ecb": ("des", "xor", "hex"),
    "x9.9": ("des", "cbc", "binary"),
    "x9.19": ("3des", "retail", "binary"),
}
"""Cipher, chain and form of each algorithm where the table says nothing."""
MAC_KEY_BYTES: Final[dict[str, Any]] = {"des": 8, "3des": 16, "sm4": 16}
