import skyrig as sky

task = sky.Task(
    resources=sky.Resources(
        use_spot=True,
        job_recovery={"strategy": "failover", "max_restarts_on_errors": 3},
        autostop={"idle_minutes": 10, "down": True},
        labels={"a": "b"},
        priority=5,
    )
)
