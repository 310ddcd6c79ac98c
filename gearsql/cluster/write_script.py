"""The script that writes rows on their shard: each key is checked and written in one step.

EVAL is what every server has that can look at a key and write it at once, module or not; a script holds keys
of one slot, so in a cluster it is called for each slot's rows, pipelined. Keys of other types are left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

Mode = Literal["insert", "replace", "update", "delete"]
"""insert: where no key is. replace: in either case. update, delete: only a row that is as it was read."""

# For each key: the fields to compare (name, '=' and its value or '-' for none), to set, and to delete. The
# texts from ARGV[3] on mean NULL. A row is written whole or not at all: HDEL's right is asked for first.
SCRIPT = rb"""
local mode, nulls, at = ARGV[1], {}, 2
local function take() at = at + 1; return ARGV[at - 1] end
local function list(width)
  local found = {}
  for i = 1, tonumber(take()) * width do found[i] = take() end
  return found
end
for i = 1, tonumber(take()) do nulls[take()] = true end
local function value(raw) if raw and not nulls[raw] then return '=' .. raw end return '-' end
local function call(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then error(reply.err, 0) end
  return reply
end
local function write(key, checks, sets, dels)
  local kind = call('TYPE', key).ok
  if kind ~= 'none' and kind ~= 'hash' then return 2 end
  if mode == 'insert' then
    if kind == 'hash' then return 3 end
    call('HSET', key, unpack(sets))
    return 1
  end
  if mode ~= 'replace' then
    if kind == 'none' then return 4 end
    if #checks > 0 then
      local names = {}
      for i = 1, #checks, 2 do names[#names + 1] = checks[i] end
      local now = call('HMGET', key, unpack(names))
      for i = 1, #names do if value(now[i]) ~= checks[2 * i] then return 5 end end
    end
    if mode == 'delete' then call('DEL', key) return 1 end
  end
  local there = 0
  if kind == 'hash' then
    for _, name in ipairs(dels) do there = there + call('HEXISTS', key, name) end
  end
  if #sets == 0 and (kind == 'none' or call('HLEN', key) == there) then return 6 end
  if there > 0 and not redis.acl_check_cmd('HDEL', key, dels[1]) then error('NOPERM for hdel', 0) end
  if #sets > 0 then call('HSET', key, unpack(sets)) end
  if there > 0 then call('HDEL', key, unpack(dels)) end
  return 1
end
local replies = {}
for i, key in ipairs(KEYS) do
  local ok, reply = pcall(write, key, list(2), list(2), list(1))
  replies[i] = reply
  if not ok then break end
end
return replies
"""
SHA = hashlib.sha1(SCRIPT).hexdigest().encode()


class Outcome(IntEnum):
    """What became of a row, as the script says."""

    WRITTEN = 1
    OTHER_TYPE = 2
    EXISTS = 3
    GONE = 4
    CHANGED = 5
    EMPTY = 6


@dataclass(frozen=True, slots=True)
class Row:
    """What to do with one key. `checks` are the fields as they were read."""

    key: bytes
    sets: Sequence[tuple[bytes, bytes]] = ()
    dels: Sequence[bytes] = ()
    checks: Sequence[tuple[bytes, bytes | None]] = field(default=())


def load_command() -> bytes:
    """Return the command that makes the script known, and does nothing."""
    return packed([b"EVAL", SCRIPT, b"0", b"insert", b"0"])


def command(mode: Mode, null_values: Sequence[bytes], rows: Sequence[Row]) -> bytes:
    """Return the command for rows of one slot."""
    words = [b"EVALSHA", SHA, b"%d" % len(rows), *(row.key for row in rows)]
    words += [mode.encode(), b"%d" % len(null_values), *null_values]
    for row in rows:
        words.append(b"%d" % len(row.checks))
        for name, value in row.checks:
            words += (name, b"-" if value is None else b"=" + value)
        words.append(b"%d" % len(row.sets))
        for pair in row.sets:
            words += pair
        words.append(b"%d" % len(row.dels))
        words += row.dels
    return packed(words)


def packed(words: Sequence[bytes]) -> bytes:
    """Return a command in the protocol's form."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
