-- Enrollments, the live ones of each member, and the event that every change of an enrollment leaves.

local Record = {
  OFFERING = 1, MEMBER = 2, POOL = 3, STATUS = 4, SEAT = 5,
  SEQ = 6, VERSION = 7, EXPIRES_AT = 8, DECIDED_AT = 9, QUEUES = 10,
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

local live, live_changed = {}, {}

-- The member's live enrollments: offering, enrollment, offering, enrollment, …
local function live_of(member)
  local list = live[member]
  if list == nil then
    local packed = redis.call('HGET', Key.MEMBERS, member)
    list = packed and cmsgpack.unpack(packed) or {}
    live[member] = list
  end
  return list
end

local function add_live(member, offering, enrollment)
  local list = live_of(member)
  list[#list + 1] = offering
  list[#list + 1] = enrollment
  live_changed[member] = true
end

local function remove_live(member, enrollment)
  local list, rest = live_of(member), {}
  for index = 1, #list, 2 do
    if list[index + 1] ~= enrollment then
      rest[#rest + 1] = list[index]
      rest[#rest + 1] = list[index + 1]
    end
  end
  live[member] = rest
  live_changed[member] = true
end

local log = {}

-- Takes the next seq for an event that has no enrollment.
local function log_campaign(kind, offering, pool)
  seq = seq + 1
  log[#log + 1] = {
    seq, 'h', cmsgpack.pack({SCHEMA, kind, now, 'system', 'engine', '', '', '', 0, offering, pool}),
  }
end

-- Takes the next seq for a change of an enrollment. `by` is {actor, channel}; request is {key, wanted, position}
-- of a sign-up, which a replay after a rebuild needs.
local function log_change(kind, by, enrollment, record, request)
  seq = seq + 1
  if record[Record.SEQ] == 0 then
    record[Record.SEQ] = seq
  end
  local packed = cmsgpack.pack(record)
  records[enrollment], packed_records[enrollment] = record, packed
  record_writes[#record_writes + 1] = enrollment
  record_writes[#record_writes + 1] = packed
  local header = {SCHEMA, kind, now, by[1], by[2], enrollment}
  if request then
    header[7], header[8], header[9] = request[1], request[2], request[3]
  end
  log[#log + 1] = {seq, 'h', cmsgpack.pack(header), 'r', packed}
end

local SYSTEM = {'system', 'engine'}
