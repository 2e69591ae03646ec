"""How each language builds and runs its reader: commands, runtime library, and generated sources.

Guarantees: a build happens in a folder of its own; `missing` names what a language lacks here.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helpers.paths import TESTS

KAITAI = TESTS / "kaitai"
MODULES = KAITAI / "node_modules"
RUNTIMES = KAITAI / "runtimes"
CRATES = ("encoding", "cp437", "unicode_segmentation", "flate2")
GO_RUNTIME = "github.com/kaitai-io/kaitai_struct_go_runtime"


@dataclass(frozen=True)
class Language:
    """One target of the Kaitai compiler.

    Attributes:
        name: as in the table of formats/README.md.
        target: as the compiler calls it.
        program: the hand-written program among `programs` that uses the generated classes.
        run: the command, in the folder that has the program and the generated sources.
        build: the commands before it.
        environment: variables for all of them.
        files: further files, with their text.
        runtime: a file of the library in `runtimes/<target>`; None if npm or pip brought it.

    In all texts `{runtime}` is the runtime's folder, and `{folder}` the build's.
    """

    name: str
    target: str
    program: str
    run: tuple[str, ...]
    build: tuple[tuple[str, ...], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    runtime: str | None = None

    @property
    def missing(self) -> str | None:
        """What this machine lacks to run the language, or None."""
        if compiler_missing():
            return compiler_missing()
        for tool in {command[0] for command in (*self.build, self.run)}:
            if "/" not in tool and shutil.which(tool) is None:
                return f"needs {tool}"
        if self.runtime and not (RUNTIMES / self.target / self.runtime).exists():
            return f"needs the runtime library for {self.name}; tests/kaitai/setup --all brings it"
        return None


def compiler_missing() -> str | None:
    """What this machine lacks to generate sources, or None."""
    if shutil.which("node") is None:
        return "needs Node.js"
    if not (MODULES / "kaitai-struct-compiler").is_dir():
        return "needs the Kaitai Struct compiler; tests/kaitai/setup installs it"
    return None


_RUSTC = ("rustc", "--edition=2021", "-Awarnings", "-L", ".")

LANGUAGES = {
    language.target: language
    for language in (
        Language("Python", "python", "read.py", (sys.executable, "read.py")),
        Language(
            "JavaScript",
            "javascript",
            "read.js",
            ("node", "read.js"),
            environment={"NODE_PATH": str(MODULES)},
        ),
        Language(
            "Ruby",
            "ruby",
            "read.rb",
            ("ruby", "-I", "{runtime}/lib", "read.rb"),
            runtime="lib/kaitai/struct/struct.rb",
        ),
        Language(
            "Lua",
            "lua",
            "read.lua",
            ("lua5.3", "read.lua"),
            environment={"LUA_PATH": "./?.lua;{runtime}/?.lua"},
            runtime="kaitaistruct.lua",
        ),
        Language(
            "Perl",
            "perl",
            "read.pl",
            ("perl", "-I", ".", "-I", "{runtime}/lib", "read.pl"),
            runtime="lib/IO/KaitaiStruct.pm",
        ),
        Language(
            "PHP",
            "php",
            "read.php",
            ("php", "read.php"),
            environment={"RUNTIME": "{runtime}"},
            runtime="lib/Kaitai/Struct/Stream.php",
        ),
        Language(
            "Java",
            "java",
            "Read.java",
            ("java", "-cp", "classes", "Read"),
            build=(
                (
                    *("javac", "-nowarn", "-proc:none", "-d", "classes"),
                    *("-sourcepath", ".:{runtime}/src/main/java", "Read.java"),
                ),
            ),
            runtime="src/main/java/io/kaitai/struct/KaitaiStream.java",
        ),
        Language(
            "Go",
            "go",
            "read.go",
            ("./read",),
            build=(("go", "build", "-o", "read", "."),),
            environment={"GOFLAGS": "-mod=mod", "GOPROXY": "off"},
            files={
                "go.mod": f"module read\n\ngo 1.19\n\nrequire {GO_RUNTIME} v0.11.0\n\n"
                f"replace {GO_RUNTIME} => {{runtime}}\n"
            },
            runtime="kaitai/stream.go",
        ),
        Language(
            "C++",
            "cpp_stl",
            "read.cpp",
            ("./read",),
            build=(
                (
                    *("sh", "-c"),
                    "g++ -DKS_STR_ENCODING_ICONV -I. -I'{runtime}' -o read "
                    "*.cpp '{runtime}'/kaitai/kaitaistream.cpp",
                ),
            ),
            runtime="kaitai/kaitaistream.cpp",
        ),
        Language(
            "C#",
            "csharp",
            "Read.cs",
            ("mono", "read.exe"),
            build=(("sh", "-c", "mcs -nowarn:0108 -out:read.exe *.cs '{runtime}'/*.cs"),),
            runtime="KaitaiStream.cs",
        ),
        Language(
            "Rust",
            "rust",
            "read.rs",
            ("./read",),
            build=(
                *(
                    (*_RUSTC, "--crate-type=rlib", f"{KAITAI}/programs/crates/{crate}.rs")
                    for crate in CRATES
                ),
                (
                    *(*_RUSTC, "--crate-type=rlib", "--crate-name=kaitai", "{runtime}/src/lib.rs"),
                    *(f"--extern={crate}" for crate in CRATES),
                ),
                (*_RUSTC, "--extern=kaitai", "-o", "read", "read.rs"),
            ),
            runtime="src/lib.rs",
        ),
        Language(
            "Nim",
            "nim",
            "read.nim",
            ("./read",),
            build=(
                (
                    *("nim", "c", "--path:{runtime}", "--hints:off", "--warnings:off"),
                    *("--nimcache:cache", "-o:read", "read.nim"),
                ),
            ),
            runtime="kaitai_struct_nim_runtime.nim",
        ),
    )
}
"""Every target that can read, by the compiler's name for it."""


class BuildError(Exception):
    """A generated source, or the program that uses it, does not compile or does not run."""


def generate(schemas: Mapping[str, Any], targets: list[str] | None = None) -> dict[str, Any]:
    """The generated sources by target and file; `schemas` are parsed .ksy files by name."""
    job = json.dumps({"languages": targets, "schemas": schemas})
    return dict(json.loads(_call(["node", str(KAITAI / "compile.js")], KAITAI, {}, job)))


def build(language: Language, sources: Mapping[str, str], folder: Path) -> None:
    """Write the sources and the program into a folder, and compile them."""
    folder.mkdir(parents=True)
    shutil.copy(KAITAI / "programs" / language.program, folder)
    files = {name: _filled(text, language, folder) for name, text in language.files.items()}
    for name, text in {**sources, **files}.items():
        path = folder / name.lstrip("/")
        # The compiler's JavaScript edition has no option for Go's package, and leaves it out.
        path.write_text("package main\n" + text if path.suffix == ".go" else text)
    for command in language.build:
        _run(language, command, folder)


def run(language: Language, folder: Path, jobs: str) -> str:
    """What the program writes about the files: `<kind> <path>` lines in, values out."""
    return _run(language, language.run, folder, jobs)


def _run(language: Language, command: tuple[str, ...], folder: Path, jobs: str = "") -> str:
    filled = functools.partial(_filled, language=language, folder=folder)
    environment = {key: filled(value) for key, value in language.environment.items()}
    return _call([filled(part) for part in command], folder, environment, jobs)


def _filled(text: str, language: Language, folder: Path) -> str:
    runtime = str(RUNTIMES / language.target)
    return text.replace("{runtime}", runtime).replace("{folder}", str(folder))


def _call(command: list[str], folder: Path, environment: Mapping[str, str], jobs: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        input=jobs,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command)}\n{done.stdout}{done.stderr}".strip())
    return done.stdout
