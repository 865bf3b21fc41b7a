"""Keys and requests: kinds that are not ours are left alone."""

import subprocess
from pathlib import Path

import pytest

from switch.crypto.issue import practice, request
from switch.errors import CertificateError, KeyFileError


def test_key_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    key = tmp_path / "rsa.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    key.chmod(0o600)
    before = key.read_bytes()
    with pytest.raises(CertificateError, match="openssl req -new -key"):
        request(str(key), ["switch.test"])
    assert key.read_bytes() == before
    key.chmod(0o644)
    with pytest.raises(KeyFileError, match="others may read it"):
        request(str(key), ["switch.test"])


def test_practice_certificates_are_what_openssl_verifies(tmp_path: Path) -> None:
    practice(tmp_path, ["switch.test"], 1_700_000_000)
    done = subprocess.run(
        ["openssl", "verify", "-attime", "1700000000", "-x509_strict", "-verify_hostname",
         "switch.test", "-CAfile", tmp_path / "ca.pem", tmp_path / "switch.test.pem"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
