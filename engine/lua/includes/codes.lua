-- Invitation codes, by id. USED is how many enrollments that are not over came in by one.

-- As in CODES; live/codes.py has the same order. MEMBER is "" for whoever has it, EXPIRES_AT 0 for never.
local Code = {OFFERING = 1, POOL = 2, USES = 3, USED = 4, MEMBER = 5, EXPIRES_AT = 6, REVOKED = 7}

local codes, codes_changed = {}, {}

-- Returns nil when there is none.
local function code_of(id)
  local code = codes[id]
  if code == nil then
    local packed = redis.call('HGET', Key.CODES, id)
    code = packed and cmsgpack.unpack(packed)
    codes[id] = code
  end
  return code or nil
end

local function count_use(record, by)
  local id = record[Record.CODE]
  local code = id and code_of(id)
  if code then
    code[Code.USED] = code[Code.USED] + by
    codes_changed[id] = true
  end
end

-- A new enrollment comes in by a code.
local function use_code(record, id)
  record[Record.WISH] = record[Record.WISH] or 0
  record[Record.TURN] = 0
  record[Record.CODE] = id
  count_use(record, 1)
end

-- An enrollment is over.
local function give_back_code(record)
  count_use(record, -1)
end

-- Takes the next seq for an event about codes, once all that was gathered before is committed.
local function log_codes(kind, by, code, packed)
  seq = seq + 1
  redis.call('HSET', Key.META, 'seq', seq)
  local header = {SCHEMA, kind, now, by[1], by[2], '', '', '', 0, code[Code.OFFERING], code[Code.POOL]}
  redis.call('XADD', Key.EVENTS, epoch .. '-' .. seq, 'h', cmsgpack.pack(header), 'c', packed)
end
