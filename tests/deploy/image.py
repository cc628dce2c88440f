"""Build the image of a Containerfile, and run verbs in it, with the kernel's namespaces instead of an engine.

The base image is this machine's own `/usr`, read-only, with this Python in the place of the image's. Each stage is a
folder that its steps write into; what runs later has that folder read-only, a volume, a temporary folder in memory,
a network of its own that has only loopback, and none of root's rights. It needs root, and Linux.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
TOOLS = ("unshare", "nsenter", "setpriv", "mount", "useradd")
BASE = ("passwd", "group", "shadow", "gshadow", "login.defs", "resolv.conf", "hosts", "nsswitch.conf")
TEMPORARY = "/tmp"  # noqa: S108 -- of the image
UNREACHED = ("No matching distribution found", "Could not fetch URL", "Failed to establish a new connection")
"""What pip says where no index of packages answers from inside of a root."""
TRIED = "mount --make-rprivate /; mount -t proc proc /proc; setpriv --reuid=1 --bounding-set=-all --no-new-privs true"
LINKS = ("bin", "sbin", "lib", "lib32", "lib64")
DEVICES = ("null", "zero", "random", "urandom")
WRITTEN = ("etc", "opt", "var/lib", "tmp", "dev", "proc", "root", "build", "usr")
"""Folders of a root that are its own, or that something is mounted on."""


def lacking() -> str:
    """Return why no image can be built here, or nothing."""
    if sys.platform != "linux" or os.geteuid():
        return "needs root, on Linux"
    missing = [tool for tool in TOOLS if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    if missing:
        return f"needs {', '.join(missing)}"
    tried = _ran([*NAMESPACES, "--net", "sh", "-euc", TRIED])
    return "" if tried.returncode == 0 else "needs namespaces of the kernel"


def _ran(words: Sequence[str], environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run words of this machine to their end, without anything to read."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(words, check=False, env=environment, text=True, timeout=900, **pipes)  # type: ignore[call-overload,no-any-return]


class Step(NamedTuple):
    """One instruction of a Containerfile, with the number of its stage."""

    stage: int
    name: str
    words: str


def steps(text: str) -> Iterator[Step]:
    """Yield the instructions of a Containerfile in their order."""
    stage = -1
    for line in re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines():
        name, _, words = line.strip().partition(" ")
        stage += name == "FROM"
        if name:
            yield Step(stage, name, words.strip())


class Image:
    """What a Containerfile builds: a folder for each stage, and how the last one is run."""

    def __init__(self, file: Path, context: Path, place: Path) -> None:
        self._context, self._place = context, place
        self.environment: dict[str, str] = {}
        self.user, self.folder, self.health = "root", "/", ""
        self.program: Sequence[str] = ()
        self.command: Sequence[str] = ()
        self._names: dict[str, int] = {}
        for step in steps(file.read_text()):
            if step.name != "ARG":
                getattr(self, f"_{step.name.lower()}")(step)
        self.root = self._root(max(self._names.values()))

    def _root(self, stage: int) -> Path:
        return self._place / f"stage-{stage}"

    def _from(self, step: Step) -> None:
        _, _, name = step.words.partition(" AS ")
        self._names[name or "last"] = step.stage
        self.environment, self.user, self.folder = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin"}, "root", "/"
        root = self._root(step.stage)
        for name in WRITTEN:
            (root / name).mkdir(parents=True)
        for name in LINKS:
            if Path("/", name).is_symlink():
                (root / name).symlink_to(Path("usr", name))
        for name in BASE:
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), root / "etc" / name)
        for name in ("ssl", "alternatives"):
            shutil.copytree(Path("/etc", name), root / "etc" / name, symlinks=True)
        for name in DEVICES:
            (root / "dev" / name).touch()
        (root / "tmp").chmod(0o1777)
        # This Python's own library comes before the system's.
        (root / "etc" / "ld.so.conf").write_text("/usr/local/lib\n")
        self._run(Step(step.stage, "RUN", "ldconfig"))

    def _workdir(self, step: Step) -> None:
        self.folder = step.words
        (self._root(step.stage) / self.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _copy(self, step: Step) -> None:
        *sources, target = step.words.split()
        origin = self._context
        if sources[0].startswith("--from="):
            origin = self._root(self._names[sources.pop(0).removeprefix("--from=")])
        into = self._root(step.stage) / os.path.join(self.folder, target).lstrip("/")
        for name in sources:
            source = origin / name.lstrip("/")
            if source.is_dir():
                shutil.copytree(source, into, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.pyc"))
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, into / source.name if target.endswith("/") else into)

    def _run(self, step: Step) -> None:
        line = f"cd {shlex.quote(self.folder)} && {step.words}"
        root = self._root(step.stage)
        script = "\n".join([*self.mounts(root), *_indexed(root), f'exec chroot {shlex.quote(str(root))} "$@"'])
        words = [*NAMESPACES, "sh", "-euc", script, "sh", "/bin/sh", "-euc", line]
        told = _ran(words, {**self.environment, **_settings_of_pip()})
        if told.returncode and any(words in told.stdout for words in UNREACHED):
            raise ConnectionError(f"RUN {step.words}: {told.stdout[-3000:]}")
        if told.returncode:
            raise AssertionError(f"RUN {step.words} ended with {told.returncode}: {told.stdout[-3000:]}")

    def _env(self, step: Step) -> None:
        self.environment |= dict(re.findall(r"(\w+)=(\S+)", step.words))

    def _user(self, step: Step) -> None:
        self.user = step.words

    def _volume(self, step: Step) -> None:
        self.volume = step.words

    def _healthcheck(self, step: Step) -> None:
        self.health = step.words.partition("CMD ")[2]

    def _stopsignal(self, step: Step) -> None:
        self.signal = step.words

    def _entrypoint(self, step: Step) -> None:
        self.program = json.loads(step.words)

    def _cmd(self, step: Step) -> None:
        self.command = json.loads(step.words)

    def mounts(self, root: Path) -> Iterator[str]:
        """Yield the lines of a shell script that mount what a root needs."""
        inside = shlex.quote(str(root))
        yield from ("mount --make-rprivate /", f"mount --bind {inside} {inside}")
        for source, place in (("/usr", f"{inside}/usr"), (shlex.quote(sys.base_prefix), f"{inside}/usr/local")):
            # Whatever a step writes there would be written to this machine.
            yield from (f"mount --bind {source} {place}", f"mount -o remount,bind,ro {place}")
        yield f"mount -t proc proc {inside}/proc"
        yield from (f"mount --bind /dev/{name} {inside}/dev/{name}" for name in DEVICES)


def _indexed(root: Path) -> Iterator[str]:
    """Yield what mounts the folders that packages come from."""
    for path in _indexes():
        (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        place = shlex.quote(f"{root}{path}")
        yield from (f"mount --bind {shlex.quote(path)} {place}", f"mount -o remount,bind,ro {place}")


def _settings_of_pip() -> dict[str, str]:
    """Return how this machine's pip is configured, as variables."""
    told = _ran([sys.executable, "-m", "pip", "config", "list"]).stdout
    found = re.findall(r"(?m)^(?:global|install|:env:)\.([\w-]+)='(.*)'$", told)
    return {f"PIP_{name.replace('-', '_').upper()}": value for name, value in found if name != "constraint"}


def _indexes() -> list[str]:
    """Return the folders of this machine from which its pip installs, if it does from folders."""
    words = " ".join(_settings_of_pip().values())
    found = {Path(path) for path in re.findall(r"(?:file://|\s|^)(/[\w./-]+)", words)}
    return sorted({str(path.parent if path.name == "simple" else path) for path in found if path.is_dir()})


HOLDS = """
import fcntl, socket, struct, time
with socket.socket() as lo:
    fcntl.ioctl(lo, 0x8914, struct.pack("16sH", b"lo", 1))
print("up", flush=True)
time.sleep(3600)
"""
"""What a container's first process does: it lets loopback up, and waits."""
HOLDER = ("/usr/local/bin/python3", "-c", HOLDS)


class Container:
    """A place where an image runs: its root is read-only, each volume is a folder, its network is loopback alone."""

    def __init__(self, image: Image, volumes: Mapping[str, Path], environment: Mapping[str, str]) -> None:
        self._image = image
        uid = next(row[2] for row in _users(image.root) if row[0] == image.user)
        told = [f"{name}={value}" for name, value in {**image.environment, **environment}.items()]
        self._confined = ["env", "-i", f"--chdir={image.folder}", *told, "setpriv", f"--reuid={uid}", f"--regid={uid}"]
        self._confined += ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        root, mounts = shlex.quote(str(image.root)), [*image.mounts(image.root)]
        for inside, folder in volumes.items():
            (image.root / inside.lstrip("/")).mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            os.chown(folder, int(uid), int(uid))
            mounts.append(f"mount --bind {shlex.quote(str(folder))} {root}{inside}")
        mounts += [
            f"mount -t tmpfs tmpfs {root}{TEMPORARY}",
            f"mount -o remount,bind,ro {root}",
            f'exec chroot {root} "$@"',
        ]
        words = [*NAMESPACES, "--net", "--ipc", "sh", "-euc", "\n".join(mounts), "sh", *HOLDER]
        self._holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout, "it is a pipe"
        assert self._holder.stdout.readline() == "up\n", "it has no network"
        self._first = _child(self._holder)

    def starts(self, *words: str, into: Path) -> "subprocess.Popen[str]":
        """Run words in it as the image's user, with the image's variables and its own alone; what they say is a file.

        A pipe that nobody reads would stop them.
        """
        enters = ["nsenter", "-t", str(self._first), "--mount", "--pid", "--net", "--ipc"]
        line = [*enters, "chroot", str(self._image.root), *self._confined, *words]
        with into.open("w") as log:
            return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True)

    def says(self, *words: str, timeout_s: float = 300) -> tuple[int, str]:
        """Run words in it to their end; return their exit code and what they said."""
        with tempfile.NamedTemporaryFile() as file:
            code = self.starts(*words, into=Path(file.name)).wait(timeout=timeout_s)
            return code, Path(file.name).read_text()

    def ends(self) -> None:
        """End it, with everything that runs in it."""
        self._holder.kill()
        self._holder.communicate()


def stop(process: "subprocess.Popen[str]", name: str) -> None:
    """Send the signal of this name to what runs in a container."""
    os.kill(_child(process), signal.Signals[name])


def _child(process: "subprocess.Popen[str]") -> int:
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def _users(root: Path) -> Iterator[list[str]]:
    yield from (line.split(":") for line in (root / "etc" / "passwd").read_text().splitlines())
