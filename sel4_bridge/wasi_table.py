# SPDX-License-Identifier: Apache-2.0
"""The one table of WASI calls: a row is a call, its IPC label is its place in the table.

From it `sel4_bridge.generate` makes the engine's import table and stubs, the server's dispatch and argument checks,
the label enumeration, the names for the trace decoder and docs/wasi-calls.md. A message on the wire is, in the order
of the row: one message register per scalar and per length; bytes that go in lie in the shared buffer from offset 0 one
after the other; the answer is the errno, then one register per result; bytes that come back lie at offset 0.

Does not say how a call behaves: that is the handler's, in `sel4_bridge/wasi/`. Source: WASI snapshot preview1,
https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md (46 calls), and for `wasi_unstable` snapshot_0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

__all__ = [
    "CALLS",
    "ERRNOS",
    "GRANTS",
    "LABEL_BASE",
    "MODULES",
    "PENDING",
    "RIGHTS",
    "Arg",
    "Call",
    "Kind",
    "Module",
    "label",
]

LABEL_BASE = 0x100
PENDING = 0xFFFF  # errno of an answer that is not there yet: wait for the notification, then ask again


class Kind(Enum):
    """What an argument is: how many wasm parameters it takes, and how it crosses IPC."""

    U32 = auto()  # scalar, also every smaller integer and flags
    U64 = auto()
    FD = auto()  # descriptor number
    PATH = auto()  # pointer, length: bytes that go in; more than the shared buffer holds is ENAMETOOLONG
    GATHER = auto()  # array of (pointer, length), count: bytes that go in, cut at the shared buffer's size
    SCATTER = auto()  # the same, bytes that come back
    BUFFER = auto()  # pointer, length: bytes that come back, as many as there are
    FILL = auto()  # pointer, length: all of it comes back, in as many messages as that takes
    STRINGS = auto()  # pointer to an array of pointers, pointer to their bytes: NUL-terminated strings that come back
    IN_ARRAY = auto()  # pointer to `count` elements of `size` bytes that go in
    OUT_ARRAY = auto()  # pointer to room for `count` elements of `size` bytes that come back
    COUNT = auto()  # the elements of the arrays that name it
    OUT_U32 = auto()  # pointer to 4 bytes that come back in a message register
    OUT_U64 = auto()  # pointer to 8 bytes that come back in a message register
    OUT_STRUCT = auto()  # pointer to `size` bytes that come back
    ADDRESS = auto()  # pointer to (pointer, length) of an internet address: its size and 16 bytes, in 3 registers
    OUT_ADDRESS = auto()  # the same, room for an address that comes back: its size and 16 bytes, in 3 registers

    @property
    def params(self) -> str:
        """Wasm parameters, i for i32 and I for i64."""
        if self in _PAIRS:
            return "ii"
        return "I" if self is Kind.U64 else "i"


_PAIRS = {Kind.PATH, Kind.GATHER, Kind.SCATTER, Kind.BUFFER, Kind.FILL, Kind.STRINGS}


@dataclass(frozen=True)
class Arg:
    """One argument or result of a call, in the order of the wasm parameters."""

    name: str
    kind: Kind
    size: int = 0  # bytes of a structure or an array's element
    count: str = ""  # name of the COUNT argument of an array


@dataclass(frozen=True)
class Call:
    """One call."""

    name: str
    brief: str
    args: tuple[Arg, ...] = ()
    unstable: bool = True  # means the same in wasi_unstable
    returns: bool = True  # answers an errno; proc_exit doesn't come back
    policy: str = "always"  # what grants it, for the reference page
    extension: bool = False  # WasmEdge's sockets, beyond preview1

    @property
    def signature(self) -> str:
        """Wasm type as in "iiI:i"."""
        return "".join(arg.kind.params for arg in self.args) + ":" + ("i" if self.returns else "")


@dataclass(frozen=True)
class Module:
    """A module name that imports may use."""

    name: str
    unstable: bool


MODULES = (Module("wasi_snapshot_preview1", unstable=False), Module("wasi_unstable", unstable=True))


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


def _u32(name: str) -> Arg:
    return Arg(name, Kind.U32)


def _u64(name: str) -> Arg:
    return Arg(name, Kind.U64)


def _fd(name: str = "fd") -> Arg:
    return Arg(name, Kind.FD)


def _path(name: str = "path") -> Arg:
    return Arg(name, Kind.PATH)


def _out_u32(name: str) -> Arg:
    return Arg(name, Kind.OUT_U32)


def _out_u64(name: str) -> Arg:
    return Arg(name, Kind.OUT_U64)


def _struct(name: str, size: int) -> Arg:
    return Arg(name, Kind.OUT_STRUCT, size)


_TIMES = (_u64("atim"), _u64("mtim"), _u32("fst_flags"))
_DIRECTORY = "a directory granted"
_SOCKET = "a destination granted"


def _address(name: str = "address") -> Arg:
    return Arg(name, Kind.ADDRESS)


def _wasmedge(name: str, brief: str, *args: Arg, policy: str = _SOCKET) -> Call:
    return Call(name, brief, args, unstable=False, policy=policy, extension=True)


_ENDPOINT = (_fd(), Arg("address", Kind.OUT_ADDRESS), _out_u32("type"), _out_u32("port"))

CALLS: tuple[Call, ...] = (
    Call("args_get", "the arguments", (Arg("argv", Kind.STRINGS),)),
    Call("args_sizes_get", "count and bytes of the arguments", (_out_u32("argc"), _out_u32("argv_size"))),
    Call("environ_get", "the environment", (Arg("environ", Kind.STRINGS),), policy="the entries granted"),
    Call(
        "environ_sizes_get",
        "count and bytes of the environment",
        (_out_u32("environc"), _out_u32("environ_size")),
        policy="the entries granted",
    ),
    Call("clock_res_get", "resolution of a clock", (_u32("id"), _out_u64("resolution")), policy="clocks"),
    Call(
        "clock_time_get",
        "time of a clock",
        (_u32("id"), _u64("precision"), _out_u64("time")),
        policy="clocks",
    ),
    Call(
        "fd_advise",
        "how a file will be used",
        (_fd(), _u64("offset"), _u64("len"), _u32("advice")),
        policy=_DIRECTORY,
    ),
    Call("fd_allocate", "make room in a file", (_fd(), _u64("offset"), _u64("len")), policy=_DIRECTORY),
    Call("fd_close", "close a descriptor", (_fd(),)),
    Call("fd_datasync", "write a file's data through", (_fd(),), policy=_DIRECTORY),
    Call("fd_fdstat_get", "type, flags and rights of a descriptor", (_fd(), _struct("stat", 24))),
    Call("fd_fdstat_set_flags", "set a descriptor's flags", (_fd(), _u32("flags"))),
    Call("fd_fdstat_set_rights", "give up rights", (_fd(), _u64("rights_base"), _u64("rights_inheriting"))),
    Call("fd_filestat_get", "attributes of an open file", (_fd(), _struct("stat", 64)), unstable=False),
    Call("fd_filestat_set_size", "set a file's size", (_fd(), _u64("size")), policy=_DIRECTORY),
    Call("fd_filestat_set_times", "set a file's times", (_fd(), *_TIMES), policy=_DIRECTORY),
    Call(
        "fd_pread",
        "read at an offset",
        (_fd(), Arg("iovs", Kind.SCATTER), _u64("offset"), _out_u32("nread")),
        policy=_DIRECTORY,
    ),
    Call("fd_prestat_get", "what a preopened descriptor is", (_fd(), _struct("prestat", 8))),
    Call("fd_prestat_dir_name", "name of a preopened directory", (_fd(), Arg("path", Kind.BUFFER))),
    Call(
        "fd_pwrite",
        "write at an offset",
        (_fd(), Arg("iovs", Kind.GATHER), _u64("offset"), _out_u32("nwritten")),
        policy=_DIRECTORY,
    ),
    Call("fd_read", "read", (_fd(), Arg("iovs", Kind.SCATTER), _out_u32("nread"))),
    Call(
        "fd_readdir",
        "entries of a directory",
        (_fd(), Arg("buf", Kind.BUFFER), _u64("cookie"), _out_u32("bufused")),
        policy=_DIRECTORY,
    ),
    Call("fd_renumber", "replace a descriptor", (_fd("fd"), _fd("to"))),
    Call(
        "fd_seek",
        "move a file's offset",
        (_fd(), _u64("offset"), _u32("whence"), _out_u64("newoffset")),
        unstable=False,
    ),
    Call("fd_sync", "write a file through", (_fd(),), policy=_DIRECTORY),
    Call("fd_tell", "a file's offset", (_fd(), _out_u64("offset"))),
    Call("fd_write", "write", (_fd(), Arg("iovs", Kind.GATHER), _out_u32("nwritten"))),
    Call("path_create_directory", "make a directory", (_fd(), _path()), policy=_DIRECTORY),
    Call(
        "path_filestat_get",
        "attributes of a file",
        (_fd(), _u32("flags"), _path(), _struct("stat", 64)),
        unstable=False,
        policy=_DIRECTORY,
    ),
    Call(
        "path_filestat_set_times",
        "set the times of a file",
        (_fd(), _u32("flags"), _path(), *_TIMES),
        policy=_DIRECTORY,
    ),
    Call(
        "path_link",
        "make a hard link",
        (_fd("old_fd"), _u32("old_flags"), _path("old_path"), _fd("new_fd"), _path("new_path")),
        policy=_DIRECTORY,
    ),
    Call(
        "path_open",
        "open or make a file",
        (
            _fd(),
            _u32("dirflags"),
            _path(),
            _u32("oflags"),
            _u64("rights_base"),
            _u64("rights_inheriting"),
            _u32("fdflags"),
            _out_u32("opened"),
        ),
        policy=_DIRECTORY,
    ),
    Call(
        "path_readlink",
        "contents of a symbolic link",
        (_fd(), _path(), Arg("buf", Kind.BUFFER), _out_u32("bufused")),
        policy=_DIRECTORY,
    ),
    Call("path_remove_directory", "remove an empty directory", (_fd(), _path()), policy=_DIRECTORY),
    Call(
        "path_rename",
        "rename a file or directory",
        (_fd("fd"), _path("old_path"), _fd("new_fd"), _path("new_path")),
        policy=_DIRECTORY,
    ),
    Call(
        "path_symlink",
        "make a symbolic link",
        (_path("old_path"), _fd(), _path("new_path")),
        policy=_DIRECTORY,
    ),
    Call("path_unlink_file", "remove a file", (_fd(), _path()), policy=_DIRECTORY),
    Call(
        "poll_oneoff",
        "wait for clocks and descriptors",
        (
            Arg("in", Kind.IN_ARRAY, 48, "nsubscriptions"),
            Arg("out", Kind.OUT_ARRAY, 32, "nsubscriptions"),
            Arg("nsubscriptions", Kind.COUNT),
            _out_u32("nevents"),
        ),
        unstable=False,
    ),
    Call("proc_exit", "end the module", (_u32("code"),), returns=False),
    Call("proc_raise", "raise a signal", (_u32("signal"),), policy="never: ENOTSUP"),
    Call("sched_yield", "let others run"),
    Call("random_get", "random bytes", (Arg("buf", Kind.FILL),), policy="random"),
    Call(
        "sock_accept", "accept a connection", (_fd(), _u32("flags"), _out_u32("opened")), unstable=False, policy=_SOCKET
    ),
    Call(
        "sock_recv",
        "receive",
        (_fd(), Arg("ri_data", Kind.SCATTER), _u32("ri_flags"), _out_u32("ro_datalen"), _out_u32("ro_flags")),
        policy=_SOCKET,
    ),
    Call(
        "sock_send",
        "send",
        (_fd(), Arg("si_data", Kind.GATHER), _u32("si_flags"), _out_u32("so_datalen")),
        policy=_SOCKET,
    ),
    Call("sock_shutdown", "end one or both directions", (_fd(), _u32("how")), policy=_SOCKET),
    _wasmedge("sock_open", "make a socket", _u32("family"), _u32("type"), _out_u32("opened")),
    _wasmedge("sock_bind", "give a socket its address", _fd(), _address(), _u32("port")),
    _wasmedge("sock_listen", "wait for connections", _fd(), _u32("backlog")),
    _wasmedge("sock_connect", "connect", _fd(), _address(), _u32("port")),
    _wasmedge(
        "sock_recv_from",
        "receive, and from whom",
        _fd(),
        Arg("ri_data", Kind.SCATTER),
        Arg("address", Kind.OUT_ADDRESS),
        _u32("ri_flags"),
        _out_u32("port"),
        _out_u32("ro_datalen"),
        _out_u32("ro_flags"),
    ),
    _wasmedge(
        "sock_send_to",
        "send a datagram there",
        _fd(),
        Arg("si_data", Kind.GATHER),
        _address(),
        _u32("port"),
        _u32("si_flags"),
        _out_u32("so_datalen"),
    ),
    _wasmedge("sock_getlocaladdr", "a socket's own address", *_ENDPOINT),
    _wasmedge("sock_getpeeraddr", "its peer's address", *_ENDPOINT),
    _wasmedge(
        "sock_setsockopt", "set an option: SO_REUSEADDR", _fd(), _u32("level"), _u32("name"), Arg("value", Kind.PATH)
    ),
    _wasmedge(
        "sock_getsockopt",
        "an option: SO_TYPE, SO_ERROR",
        _fd(),
        _u32("level"),
        _u32("name"),
        _out_u32("value"),
        _out_u32("size"),
    ),
    _wasmedge(
        "sock_getaddrinfo",
        "look a name up",
        Arg("node", Kind.PATH),
        Arg("service", Kind.PATH),
        _u32("hints"),
        _u32("results"),
        _u32("most"),
        _out_u32("found"),
        policy="never: ENOTSUP",
    ),
)

# The words of a policy, for the reference page; sel4_bridge/wasi/grants.h says the same for the code that applies them.
GRANTS: tuple[tuple[str, str], ...] = (
    ("dir=/PATH", "a directory to read and write, preopened under that name: `/data` on flash, all others in RAM"),
    ("dir=/PATH:ro", "the same, to read only"),
    ("dir=/PATH::/NAME", "the same, preopened as /NAME"),
    ("publish=FILTER", "topics that may be written as /mqtt/out/TOPIC; MQTT's wildcards `+` and `#`"),
    ("subscribe=FILTER", "topics that may be read as /mqtt/in/TOPIC"),
    ("connect=tcp:HOST:PORT", "connect there; `udp:` to send there; HOST is a numeric IPv4 address"),
    ("listen=tcp:HOST:PORT", "accept connections there, on the agent's machine; `udp:` to receive there"),
    ("clocks=off", "no clock but waiting"),
    ("resolution=N", "clocks and waits go in steps of N nanoseconds"),
    ("random=off", "no random_get"),
    ("files=N", "at most N open descriptors, the three streams included; 32 is the most"),
    ("bytes=N", "at most N bytes of files, in RAM and on flash each"),
    ("output=N", "at most N bytes a second of standard output and error; what is beyond waits"),
)

# Error numbers of preview1, in order from 0.
ERRNOS: tuple[str, ...] = _names(
    "success 2big acces addrinuse addrnotavail afnosupport again already badf badmsg busy canceled child connaborted "
    "connrefused connreset deadlk destaddrreq dom dquot exist fault fbig hostunreach idrm ilseq inprogress intr inval "
    "io isconn isdir loop mfile mlink msgsize multihop nametoolong netdown netreset netunreach nfile nobufs nodev "
    "noent noexec nolck nolink nomem nomsg noprotoopt nospc nosys notconn notdir notempty notrecoverable notsock "
    "notsup notty nxio overflow ownerdead perm pipe proto protonosupport prototype range rofs spipe srch stale "
    "timedout txtbsy xdev notcapable"
)

# Rights of preview1, in order from bit 0.
RIGHTS: tuple[str, ...] = _names(
    "fd_datasync fd_read fd_seek fd_fdstat_set_flags fd_sync fd_tell fd_write fd_advise fd_allocate "
    "path_create_directory path_create_file path_link_source path_link_target path_open fd_readdir path_readlink "
    "path_rename_source path_rename_target path_filestat_get path_filestat_set_size path_filestat_set_times "
    "fd_filestat_get fd_filestat_set_size fd_filestat_set_times path_symlink path_remove_directory path_unlink_file "
    "poll_fd_readwrite sock_shutdown sock_accept"
)


def label(name: str) -> int:
    """IPC label of a call; KeyError if there is none of that name."""
    for row, call in enumerate(CALLS):
        if call.name == name:
            return LABEL_BASE + row
    raise KeyError(name)
