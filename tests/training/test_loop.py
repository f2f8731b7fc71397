"""The rules of the loop. Its surroundings are tested in test_run.py."""

import io

import pytest
import torch
from accelerate import Accelerator
from accelerators import forget_accelerator
from torch import nn
from torch.nn import functional as F
from toy import PlainNet, PlainTask, ToyNet, ToySettings, ToyTask, batches, toy
from twins import run_two

from inpaint_cli.api.architectures import Batch, Phase, Task
from inpaint_cli.api.settings import Settings
from inpaint_cli.api.stages import Optimizer, Schedule, Stage
from inpaint_cli.errors import PluginError, RecipeError
from inpaint_cli.layers.partial import FreezableBatchNorm2d
from inpaint_cli.losses.adversarial import r1_penalty
from inpaint_cli.training.loop import train_stages

PLAN = ToyTask.plan


def accelerate(accumulate=1, precision="no"):
    forget_accelerator()
    return Accelerator(cpu=True, gradient_accumulation_steps=accumulate, mixed_precision=precision)


def go(task, steps=10, accumulate=1, state=None, precision="no", plan=PLAN):
    accelerator = accelerate(accumulate, precision)

    def parts(stage, first):
        return batches()(stage, first * accumulate)

    seen = []
    for step in train_stages(task, plan, parts, accelerator, state=state):
        seen.append(step)
        if step.done == steps:
            break
    return seen, reread(step.state())


def reread(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_stage_freezes_what_it_does_not_train():
    task = toy()
    before = reread(task.state_dict())
    _, state = go(task, steps=4)
    moved = {k for k, v in state["task"].items() if not torch.equal(v, before[k])}
    assert moved == {"net.prior.weight", "net.prior.bias", "net.memory"}
    _, later = go(task, state=state)
    assert torch.equal(later["task"]["net.prior.weight"], state["task"]["net.prior.weight"])
    assert not torch.equal(later["task"]["critic.2.weight"], state["task"]["critic.2.weight"])


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_taken_up_again_is_the_unbroken_run(accumulate, precision):
    _, whole = go(toy(), accumulate=accumulate, precision=precision)
    assert whole["done"] == 10
    for cut in (1, 4, 5, 7):
        _, part = go(toy(), steps=cut, accumulate=accumulate, precision=precision)
        assert part["done"] == cut
        _, rest = go(toy(seed=1), accumulate=accumulate, precision=precision, state=part)
        for key, value in whole["task"].items():
            assert torch.equal(value, rest["task"][key]), (cut, key)


def test_optimisers_do_not_cross_a_stage_border():
    _, end = go(toy(), steps=4)
    _, later = go(toy(), steps=5)
    assert set(end["optimizers"]) == {"fill"}
    assert set(later["optimizers"]) == {"critic", "fill"}
    assert {int(s["step"]) for s in later["optimizers"]["fill"]["state"].values()} == {1}


def test_what_learns_is_in_train_mode_and_nothing_else():
    task = toy()
    go(task)
    modes = {name: module.training for name, module in task.named_modules()}
    learns = [name for name in ("net.prior", "net.body.0", "net.body.2", "critic") if modes[name]]
    assert learns == ["net.body.0", "net.body.2", "critic"]


def test_phases_take_turns():
    seen, _ = go(toy())
    assert [s.done for s in seen if "fill/l1" in s.losses] == [1, 2, 3, 4, 5, 7, 9]
    assert [s.done for s in seen if "critic/hinge" in s.losses] == [5, 6, 7, 8, 9, 10]
    assert {s.stage for s in seen[:4]} == {"prior"}


def test_a_phase_leaves_no_gradient_on_what_it_does_not_train():
    task = toy()
    for step in train_stages(task, PLAN, batches(), accelerate()):
        assert [n for n, p in task.named_parameters() if p.grad is not None] == [], step.done


def test_nothing_of_accelerate_stays_on_the_networks():
    task = toy()
    clean = {name: set(vars(m)) for name, m in task.named_modules() if name}
    go(task, precision="bf16")
    assert {name: set(vars(m)) for name, m in task.named_modules() if name} == clean


def test_every_stage_runs_in_the_precision_asked_for(monkeypatch):
    seen = []
    forward = ToyNet.forward

    def spy(self, *args):
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(self, *args)

    monkeypatch.setattr(ToyNet, "forward", spy)
    go(toy(), precision="bf16")
    assert seen == [True] * 10


def test_rates_are_those_of_the_schedule():
    plan = {
        "prior": Stage(steps=3, optimizer=Optimizer(lr=1.0, schedule=Schedule(kind="linear"))),
        "fill": Stage(
            steps=2,
            optimizer=Optimizer(lr=0.5),
            optimizers={"critic": Optimizer(schedule=Schedule(warmup=2))},
        ),
    }
    seen, state = go(toy(), plan=plan)
    assert [step.rates.get("fill") for step in seen] == pytest.approx([1, 2 / 3, 1 / 3, 0.5, None])
    assert [step.rates["critic"] for step in seen[3:]] == [0, 0.25]
    assert state["optimizers"]["critic"]["param_groups"][0]["lr"] == 0.25


def test_a_skipped_stage_takes_no_step():
    plan = {"prior": PLAN["prior"].model_copy(update={"steps": 0}), "fill": PLAN["fill"]}
    seen, _ = go(toy(), plan=plan)
    assert [step.stage for step in seen] == ["fill"] * 6


class Overlapping(ToyTask):
    def phases(self, stage):
        return [Phase(n, [m], self.prior_losses) for n, m in (("a", "net"), ("b", "net.prior"))]


class Lazy(PlainTask):
    """A regulariser every other step, on the same parameters: it shares their optimiser."""

    plan = {"fill": Stage(steps=4, batch=2, optimizer=Optimizer(kind="sgd", lr=0.5))}  # noqa: RUF012

    def phases(self, stage):
        return [
            Phase("fill", ["net"], self.losses),
            Phase("decay", ["net"], self.decay, every=2),
        ]

    def decay(self, batch, out):
        return {"size": self.net(batch.visible, batch.mask).square().mean()}


def test_phases_that_train_the_same_modules_share_an_optimiser():
    task = Lazy(PlainNet(), Settings())
    seen, state = go(task, plan=Lazy.plan, steps=4)
    assert set(state["optimizers"]) == {"fill"}
    assert [("decay/size" in s.losses) for s in seen] == [True, False, True, False]
    assert [s.rates["fill"] for s in seen] == pytest.approx([0.5 / 1.5] * 4)  # of 3 steps in 2
    with pytest.raises(RecipeError, match="'fill' and 'decay' of stage 'fill' share"):
        go(task, plan=Lazy.plan, accumulate=2)
    with pytest.raises(PluginError, match="'a' and 'b' train partly the same"):
        go(Overlapping(ToyNet(ToySettings()), None))


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_a_batch_in_parts_is_the_batch(accumulate):
    """Losses and gradients are means over the parts."""
    torch.manual_seed(0)
    task = PlainTask(PlainNet(), Settings())
    reference = PlainNet()
    reference.load_state_dict(task.net.state_dict())
    whole = next(batches(size=4)("fill", 0))

    def parts(stage, first):
        size = 4 // accumulate
        for n in range(accumulate):
            part = slice(n * size, (n + 1) * size)
            yield type(whole)(whole.image[part], whole.mask[part])

    plan = {"fill": Stage(steps=1, optimizer=Optimizer(kind="sgd", lr=0.1))}
    (step,) = train_stages(task, plan, parts, accelerate(accumulate))
    loss = F.l1_loss(reference(whole.visible, whole.mask), whole.image)
    loss.backward()
    assert float(step.losses["fill/l1"]) == pytest.approx(float(loss.detach()), rel=1e-6)
    expected = reference.body.weight.detach() - 0.1 * reference.body.weight.grad
    assert torch.allclose(task.net.body.weight, expected, atol=1e-6)


def test_clipping_bounds_the_step():
    for clip, moved in ((0.0, True), (1e-4, False)):
        torch.manual_seed(0)
        task = PlainTask(PlainNet(), Settings())
        before = task.net.body.weight.detach().clone()
        plan = {"fill": Stage(steps=1, clip=clip, optimizer=Optimizer(kind="sgd", lr=1.0))}
        next(train_stages(task, plan, batches(), accelerate()))
        assert ((task.net.body.weight - before).norm() > 1.1e-4) == moved


@pytest.mark.ddp
def test_two_processes_agree(tmp_path):
    def train_share(rank):
        for accumulate in (1, 2):
            a = accelerate(accumulate)
            assert a.num_processes == 2, a.num_processes
            task = toy(seed=rank)  # to be made one by the loop
            for _ in train_stages(task, PLAN, batches(rank), a):
                pass
            for k, v in task.state_dict().items():
                both = a.gather(v[None].contiguous())
                assert torch.equal(both[0], both[1]), k

    run_two(train_share, tmp_path)


class NormNet(nn.Module):
    """Batch norms of each kind that networks use, one of them differentiated twice."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 6, 3), FreezableBatchNorm2d(6), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6),
            nn.Tanh(), nn.Conv2d(6, 3, 1),
        )  # fmt: skip

    def forward(self, visible, mask):
        return self.body(torch.cat([visible, mask], 1))


class NormTask(Task):
    plan = {"fill": Stage(steps=3, optimizer=Optimizer(kind="sgd", lr=0.2))}  # noqa: RUF012

    def losses(self, batch, out):
        image = batch.visible.requires_grad_()
        again = self.net(image, batch.mask)
        return {"l1": out.abs().mean(), "r1": r1_penalty(again.mean((1, 2, 3)), image)}


def train_norms(rank, world):
    """Three steps on batches of four; this process has its share of each."""
    torch.manual_seed(0)
    task = NormTask(NormNet(), Settings())

    def share(stage, first):
        for batch in batches(size=4)(stage, first):
            yield Batch(batch.image[rank::world], batch.mask[rank::world])

    for _ in train_stages(task, NormTask.plan, share, accelerate()):
        pass
    return task.state_dict()


@pytest.mark.ddp
def test_batch_norms_of_two_processes_are_those_of_one(tmp_path):
    def train_share(rank):
        a = accelerate()
        assert a.num_processes == 2, a.num_processes
        state = train_norms(rank, 2)
        if a.is_main_process:
            torch.save(state, tmp_path / "norms.pt")

    run_two(train_share, tmp_path)
    one, two = train_norms(0, 1), torch.load(tmp_path / "norms.pt", weights_only=True)
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert torch.allclose(value, two[key], rtol=1e-4, atol=1e-6), key
