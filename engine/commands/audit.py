async def run(settings, campaigns, *, wait_s, as_json):
    return 0
