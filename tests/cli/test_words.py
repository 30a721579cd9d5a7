"""SkyPilot's word order, and chains of tasks."""

import pytest

from skyrig.cli.argv import engines_own, rewritten
from skyrig.cli.collection import namespace
from skyrig.cli.verb import Verb
from skyrig.cli.words import chain_refusal, refusal

VERBS = {name: task for name in namespace().task_names if isinstance(task := namespace()[name], Verb)}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("logs hf-train -f", "logs --cluster=hf-train -f"),
        ("logs hf-train 3 --tail 5", "logs --cluster=hf-train --job=3 --tail 5"),
        ("logs -c hf-train 3", "logs --job=3 -c hf-train"),
        ("logs --cluster=a 3", "logs --job=3 --cluster=a"),
        ("cancel mingpt 1 2", "cancel --cluster=mingpt --job=1 --job=2"),
        ("cancel -a mingpt", "cancel --cluster=mingpt -a"),
        ("exec mycluster task.yaml -d", "exec --cluster=mycluster task.yaml -d"),
        ("exec -c mycluster task.yaml", "exec task.yaml -c mycluster"),
        ("exec a t.yaml --env K=V -d", "exec --cluster=a t.yaml --env K=V -d"),
        ("down a b -y", "down --cluster=a --cluster=b -y"),
        ("stop a 'b*' -y", "stop --cluster=a --cluster='b*' -y"),
        ("start -a", "start -a"),
        ("autostop a b -i 10 --down", "autostop --cluster=a --cluster=b -i 10 --down"),
        ("status hf-serve --ip", "status --cluster=hf-serve --ip"),
        ("status hf-serve --endpoint", "status --cluster=hf-serve --endpoint"),
        ("status hf-serve --endpoint 8000", "status --cluster=hf-serve --endpoint 8000"),
        ("status --endpoint 8000 hf-serve", "status --cluster=hf-serve --endpoint 8000"),
        ("status --endpoint hf-serve", "status --cluster=hf-serve --endpoint"),
        ("status hf-serve --endpoint=8000 -r", "status --cluster=hf-serve --endpoint=8000 -r"),
        ("status --endpoint -c hf-serve", "status --endpoint -c hf-serve"),
        ("down --by-tag a b -y", "down --cluster=a --cluster=b --by-tag -y"),
        ("adopt a --infra aws -y", "adopt --cluster=a --infra aws -y"),
        ("ssh box", "ssh --cluster=box"),
        ("launch --help", "--help launch"),
        ("jobs launch f.yaml -h", "--help jobs.launch"),
        ("ssh box -- ls -h", "ssh --cluster=box -- ls -h"),
        ("ssh box -- ls -l", "ssh --cluster=box -- ls -l"),
        ("local ls", "local.ls"),
        ("task show f.yaml --json", "task.show f.yaml --json"),
        ("status a b", "status --cluster=a --cluster=b"),
        ("local preempt n1", "local.preempt n1"),
        ("launch -c a f.yaml", "launch -c a f.yaml"),
        ("train --nodes 2 -- logs a", "train --nodes 2 -- logs a"),
        ("gpus H100:8 --all-regions", "gpus H100:8 --all-regions"),
        ("gpus --infra aws H100", "gpus H100 --infra aws"),
        ("gpus list H100 -o json", "gpus H100 -o json"),
        ("show-gpus H100", "gpus H100"),
        ("catalog refresh --cloud aws", "catalog.refresh --cloud aws"),
        ("serve up -n m s.yaml --env-file .env", "serve.up s.yaml -n m --env-file .env"),
        ("serve s.yaml", "serve s.yaml"),
        ("serve", "serve"),
        ("serve -n m", "serve -n m"),
        ("serve update m s.yaml --mode blue_green", "serve.update --name=m s.yaml --mode blue_green"),
        ("serve update s.yaml -n m", "serve.update s.yaml -n m"),
        ("serve status", "serve.status"),
        ("serve status m --endpoint", "serve.status --name=m --endpoint"),
        ("serve logs m 1", "serve.logs --name=m --replica=1"),
        ("serve logs m --controller", "serve.logs --name=m --controller"),
        ("serve down m k -y", "serve.down --name=m --name=k -y"),
        ("serve down m --replica-id 2", "serve.down --name=m --replica-id 2"),
        ("--list", "--list"),
        ("nonsense a b", "nonsense a b"),
    ],
)
def test_words_are_put_in_invokes_order(given: str, wanted: str) -> None:
    assert rewritten(given.split(), VERBS) == wanted.split()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("pulumi up --yes -s x", "pulumi -- up --yes -s x"),
        ("pulumi --version", "pulumi -- --version"),
        ("pulumi -- up", "pulumi -- up"),
        ("pulumi --env", "pulumi --env"),
        ("pulumi --help", "pulumi --help"),
        ("pulumi", "pulumi"),
        ("launch pulumi", "launch pulumi"),
    ],
)
def test_what_follows_pulumi_is_the_engines(given: str, wanted: str) -> None:
    assert engines_own(given.split()) == wanted.split()


@pytest.mark.parametrize(
    "names",
    [
        ["status", "down"],
        ["down", "status"],
        ["test", "stop"],
        ["adopt", "status"],
        ["local", "ls"],
        ["status", "local.preempt"],
        ["serve.up", "down"],
        ["status", "serve.up"],
        ["serve.down", "status"],
    ],
)
def test_dangerous_chains_are_refused(names: list[str]) -> None:
    assert chain_refusal(names)


@pytest.mark.parametrize("names", [[], ["down"], ["lint", "test"], ["up", "status"], ["local.ls"]])
def test_other_chains_run(names: list[str]) -> None:
    assert chain_refusal(names) is None


@pytest.mark.parametrize("line", ["up", "-D 3 status", "up -c serve", "train -- serve down", "local.ls", ""])
def test_words_that_only_look_alike_run(line: str) -> None:
    assert refusal(line.split()) is None
