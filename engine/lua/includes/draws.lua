-- When the draws of a campaign are due.

-- When the entries of an offering are to be drawn, or nil when they are not, or were.
local function draws_at(offering)
  -- A poll is not drawn before it is met; where it never is, at its deadline.
  if not offering.collects or offering.draw > 0 then
    return nil
  end
  return offering.met > 0 and offering.met or offering.collects
end

-- Returns when the next draw is due, and the first offering of it; nil when there is none to come.
local function next_draw_at(offerings)
  local at, first
  for _, offering in ipairs(offerings) do
    local moment = draws_at(offering)
    if moment and (not at or moment < at) then
      at, first = moment, offering
    end
  end
  return at, first
end

-- META has it for those who look whether there is a draw to hold.
local function note_next_draw(offerings)
  local at = next_draw_at(offerings)
  if at then
    redis.call('HSET', Key.META, 'draw_at', at)
  else
    redis.call('HDEL', Key.META, 'draw_at')
  end
end
