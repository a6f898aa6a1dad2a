-- Enrollments, the live ones of each member, what replays need, and the event that every change leaves.

local Record = {
  OFFERING = 1, MEMBER = 2, POOL = 3, STATUS = 4, SEAT = 5,
  SEQ = 6, VERSION = 7, EXPIRES_AT = 8, DECIDED_AT = 9, QUEUES = 10, WISH = 11, TURN = 12,
  CODE = 13,
}

-- packed_records holds each record as it is, or will be, in ENROLLMENTS.
local records, packed_records, record_writes = {}, {}, {}

-- Returns nil when there is none.
local function record_of(enrollment)
  local record = records[enrollment]
  if record == nil then
    local packed = redis.call('HGET', Key.ENROLLMENTS, enrollment)
    record = packed and cmsgpack.unpack(packed)
    records[enrollment], packed_records[enrollment] = record, packed
  end
  return record or nil
end

-- Reads many records at once.
local function read_records(enrollments)
  local found = redis.call('HMGET', Key.ENROLLMENTS, unpack(enrollments))
  for index, enrollment in ipairs(enrollments) do
    if records[enrollment] == nil then
      records[enrollment], packed_records[enrollment] = found[index] and cmsgpack.unpack(found[index]), found[index]
    end
  end
end

-- A live enrollment of a member, as in MEMBERS. KEY, WANTED and POSITION are of the sign-up; KEY is "" when it had
-- none, and once its first answer is in REQUESTS. WISH is there while it is entered in a draw: that counts for no limit.
local Entry = {OFFERING = 1, ENROLLMENT = 2, KEY = 3, WANTED = 4, POSITION = 5, WISH = 6}

-- The list of a member who was never in; one who was once in keeps a list, of no entries if need be.
local NEVER_IN = {}

local live, live_changed = {}, {}

-- Reads the lists of many members at once.
local function read_live(members)
  local found = redis.call('HMGET', Key.MEMBERS, unpack(members))
  for index, member in ipairs(members) do
    if not live[member] then
      live[member] = found[index] and cmsgpack.unpack(found[index]) or NEVER_IN
    end
  end
end

local function live_of(member)
  if not live[member] then
    read_live({member})
  end
  return live[member]
end

local function add_live(member, entry)
  local list = live_of(member)
  if list == NEVER_IN then
    list = {}
    live[member] = list
  end
  list[#list + 1] = entry
  live_changed[member] = true
end

local function remove_live(member, enrollment)
  local rest = {}
  for _, entry in ipairs(live_of(member)) do
    if entry[Entry.ENROLLMENT] ~= enrollment then
      rest[#rest + 1] = entry
    end
  end
  live[member] = rest
  live_changed[member] = true
end

-- What sign-ups were answered with, by "<member> <key>": {enrollment, wanted, status, pool, seat, expires_at,
-- position}. Until an enrollment changes, its record and its entry in MEMBERS say it; REQUESTS has it from then on.
local first_answers, request_writes = {}, {}

local function first_answer_in(entry)
  local record = record_of(entry[Entry.ENROLLMENT])
  return {
    entry[Entry.ENROLLMENT], entry[Entry.WANTED], record[Record.STATUS], record[Record.POOL], record[Record.SEAT],
    record[Record.EXPIRES_AT], entry[Entry.POSITION],
  }
end

-- Comes before any change of an enrollment that is there.
local function begin_change(enrollment, record)
  local member = record[Record.MEMBER]
  for _, entry in ipairs(record[Record.VERSION] == 1 and live_of(member) or {}) do
    if entry[Entry.ENROLLMENT] == enrollment and entry[Entry.KEY] ~= '' then
      local field, first = member .. ' ' .. entry[Entry.KEY], first_answer_in(entry)
      first_answers[field] = first
      request_writes[#request_writes + 1] = field
      request_writes[#request_writes + 1] = cmsgpack.pack(first)
      entry[Entry.KEY] = ''
      live_changed[member] = true
    end
  end
  record[Record.VERSION] = record[Record.VERSION] + 1
end

local log_headers, log_records = {}, {}

-- Takes the next seq for an event; domain/events.py has the order of a header. `packed_record` is false for a
-- campaign's own events.
local function log(header, packed_record)
  seq = seq + 1
  log_headers[#log_headers + 1] = cmsgpack.pack(header)
  log_records[#log_headers] = packed_record
end

local function log_campaign(kind, offering, pool, stage)
  log({SCHEMA, kind, now, 'system', 'engine', '', '', '', 0, offering, pool, 0, 0, stage or 0}, false)
end

-- Takes the next seq for a change of the enrollment that the header names.
local function log_change(header, record)
  if record[Record.SEQ] == 0 then
    record[Record.SEQ] = seq + 1
  end
  local enrollment, packed = header[6], cmsgpack.pack(record)
  records[enrollment], packed_records[enrollment] = record, packed
  record_writes[#record_writes + 1] = enrollment
  record_writes[#record_writes + 1] = packed
  log(header, packed)
end

local SYSTEM = {'system', 'engine'}
