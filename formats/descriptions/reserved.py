"""Words that a field or a schema may not be called in a notation, or in a language made from it.

Guarantees: with other names, what the Kaitai compiler 0.11 generates compiles in its twelve
languages, and reads; the words were found by generating, compiling and running a schema for each
keyword of each language, and for what its objects already have. Python's keywords are not here:
no field may have one as its name.
"""

import keyword

_JAVA = """
    abstract assert boolean break byte case catch char class const continue default do double else
    enum extends false final finally float for goto if implements import instanceof int interface
    long native new null package private protected public return short static strictfp super switch
    synchronized this throw throws transient true try void volatile while
"""
_RUST = """
    abstract as async await become box break const continue crate do dyn else enum extern false
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self
    static struct super trait true try type typeof unsafe unsized use virtual where while yield
"""
_C = """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while
"""
_CPP = """
    alignas alignof and and_eq asm bitand bitor bool catch char16_t char32_t char8_t class co_await
    co_return co_yield compl concept consteval constexpr constinit const_cast decltype delete
    dynamic_cast explicit export false friend mutable namespace new noexcept not not_eq nullptr
    operator or or_eq private protected public reinterpret_cast requires static_assert static_cast
    template this thread_local throw true try typeid typename using virtual wchar_t xor xor_eq
    errno linux stderr stdin stdout unix
"""
_LUA = """
    and break do else elseif end false for function goto if in local nil not or repeat return then
    true until while
"""
# Java: clone finalize get_class hash_code notify notify_all to_string wait; Ruby: initialize; Rust:
# clone get; Perl: new; PHP, C#, Perl: from_file; Go, C#: read; Nim: io parent root; C#: text, which
# is also the type's name.
_MEMBERS = """
    clone finalize from_file get get_class hash_code initialize io new notify notify_all parent read
    root text to_string wait
"""
KAITAI_FIELDS = frozenset(f"{_JAVA}{_RUST}{_C}{_CPP}{_LUA}{_MEMBERS}".split())
"""What no field may be called in a Kaitai schema."""
KAITAI_LABELS = KAITAI_FIELDS | {"mro", "unknown"}
"""What no label may be called, besides Python's keywords: Python's enums have `mro`, Rust's have
`Unknown`."""

_PHP = """
    abstract and array as bool break callable case catch class clone const continue declare default
    die do echo else elseif empty enddeclare endfor endforeach endif endswitch endwhile enum error
    eval exit extends false final finally float fn for foreach function global goto if implements
    include include_once instanceof insteadof int interface isset iterable iterator list match mixed
    namespace never new null object or parent print private protected public readonly require
    require_once return self static string switch throw trait true try unset use var void while xor
    yield exception closure generator traversable countable stringable throwable
"""
_RUBY = """
    array class comparable complex data dir encoding enumerable errno exception fiber file float gem
    hash integer io kaitai kernel marshal math method module monitor mutex nil_class numeric object
    proc process queue random range rational regexp set signal string struct symbol thread time
"""
# Java: what generated classes use; the names of types and fields in the schema; files that runtime
# libraries load.
_TYPES = """
    arrays byte_buffer_kaitai_stream charset enum from_file io_exception kaitai_stream kaitai_struct
    kaitaistruct list record records standard_charsets string string_decode string_stream system
    text utils
"""
KAITAI_CLASSES = frozenset(f"{_PHP}{_RUBY}{_RUST}{_TYPES}".split())
"""What no Kaitai schema may be called."""

CSTRUCT_FIELDS = frozenset({"cls", "dumps", "self"})
"""What no field may be called in a definition for dissect.cstruct."""
_ENUM = {"alignment", "cs", "dynamic", "mro", "self", "size", "type"}
CSTRUCT_LABELS = frozenset({*keyword.kwlist, *_ENUM})
"""What no label may be called there: Python's enums, and the library's, have these."""

_CSTRUCT_TYPES = """
    BYTE CHAR DWORD INT INT128 INT16 INT32 INT64 INT8 LONG LONG32 LONG64 LONGLONG OWORD QWORD SHORT
    UCHAR UINT UINT128 UINT16 UINT32 UINT64 UINT8 ULONG ULONG64 ULONGLONG USHORT WCHAR WORD _BYTE
    _DWORD _OWORD _QWORD _WORD __int128 __int16 __int32 __int64 __int8 __u16 __u32 __u64 __u8
    float16 ileb128 int128 int128_t int16 int16_t int24 int32 int32_t int48 int64 int64_t int8
    int8_t u1 u16 u2 u4 u8 uchar uint uint128 uint128_t uint16 uint16_t uint24 uint32 uint32_t
    uint48 uint64 uint64_t uint8 uint8_t uleb128 ulong ushort wchar wchar_t flag
    add_custom_type add_type addtype consts endian includes load loadfile lookups pointer read
    resolve typedefs
"""
CSTRUCT_NAMES = frozenset(f"{_C}{_CSTRUCT_TYPES}".split())
"""What no struct may be called there: C's keywords, and the types and methods of the library."""

_HEXPAT = """
    addressof as auto be bitfield bool break catch char char16 const continue double else enum false
    float fn for from if import in is_whole_record le match namespace null out padding parent ref
    reference return s128 s16 s24 s32 s48 s64 s8 s96 section signed sizeof std str struct this true
    try typenameof u128 u16 u24 u32 u48 u64 u8 u96 union unsigned using while
"""
HEXPAT_FIELDS = frozenset(_HEXPAT.split())
"""What no field may be called in an ImHex pattern: its language's keywords and types."""
