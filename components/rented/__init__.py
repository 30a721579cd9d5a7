"""What components of clouds share that rent machines by a small HTTP API: machines, keys and their power as dynamic
resources, which ask it through skyrig.clouds.machines_api."""
