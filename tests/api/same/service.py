import skyrig as sky

task = sky.Task(run="serve", resources={"ports": 8000}).set_service({"readiness_probe": "/health", "replicas": 2})
