"""The runner of tutorials itself: what it takes for blocks, what it lets pass, what it leaves."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.tutorial import Shell, blocks, play, promised

PAGE = """\
# A page

```sh
mkdir here
cd here
```

Words.

```sh
pwd
echo done
```

```text
…/here
done
```

Words between do not belong to the output.

```toml
key = 1
```

```text
not an output
```
"""


def test_blocks_are_those_of_the_shell_with_the_output_that_follows() -> None:
    assert [(block.line, block.output) for block in blocks(PAGE)] == [
        (4, None),
        (11, "…/here\ndone\n"),
    ]


def test_page_is_one_shell(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    play(page, tmp_path)
    assert (tmp_path / "here").is_dir()


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("```sh\nfalse\n```\n", "page.md:2\nfalse\nended with code 1"),
        ("```sh\n(exit 3)\ntrue\n```\n", "page.md:2\n(exit 3)\ntrue\nended with code 3"),
        ("```sh\necho one\n```\n\n```text\ntwo\n```\n", "promised:\ntwo\n\nbut printed:\none"),
        ("```sh\necho one\n```\n\n```text\none\nmore\n```\n", "promised"),
        ("```sh\necho one; echo more\n```\n\n```text\none\n```\n", "promised"),
        ("```sh\nexit 0\n```\n", "the shell ended"),
    ],
)
def test_page_that_does_not_hold_what_it_says_fails(tmp_path: Path, block: str, words: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(block, encoding="utf-8")
    with pytest.raises(AssertionError) as raised:
        play(page, tmp_path)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("output", "real", "fits"),
    [
        ("a … b\n", "a 12 b\n", True),
        ("a … b\n", "a 1\n2 b\n", False),
        ("a\n…\nb\n", "a\nb\n", True),
        ("a\n…\nb\n", "a\n1\n2\nb\n", True),
        ("a\n…\nb\n", "a\n1\n2\n", False),
        ("a\n", "a\nb\n", False),
        ("1.5 (ms)\n", "1.5 (ms)\n", True),
        ("1.5\n", "1x5\n", False),
    ],
)
def test_what_an_ellipsis_stands_for(output: str, real: str, fits: bool) -> None:
    assert bool(promised(output).match(real)) == fits


def test_nothing_is_left_running(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    code, output = shell.run("sleep 1000 & echo $!")
    assert code == 0
    shell.end()
    left = subprocess.run(["ps", "-o", "stat=", output.strip()], capture_output=True, check=False)
    assert left.stdout.strip() in {b"", b"Z"}
    with pytest.raises(ProcessLookupError):
        os.killpg(shell._process.pid, 0)
