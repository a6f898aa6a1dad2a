-- First come, first served: the first free seat among the pools the member may take, in the document's order.

local function first_free(offering, may_take)
  for index, pool in ipairs(offering.pools) do
    if may_take[index] and pool.taken < pool.capacity then
      return pool
    end
  end
end
