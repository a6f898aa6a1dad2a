"""Why: what members are told of refusals and enrollments, from what was recorded."""
