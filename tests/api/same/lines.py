import skyrig as sky

task = sky.Task(setup=["a", "b"], run=("c", "d"))
