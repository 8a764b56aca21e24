"""What a trace shows, in the order of the input, on vectors and on images."""

from __future__ import annotations

import pytest
import torch

from cellwise.cells.registry import build_cell
from cellwise.testing.layers import HIDDEN, INPUT, dense, images, numbers

TIME, BATCH = 5, 3
LENGTHS = [TIME, 0, 2]


def test_gates_and_states_obey_the_cells_equations_at_every_step_of_both_directions() -> None:
    layer = dense(lambda: build_cell("peephole_lstm"), bidirectional=True)
    trace = layer.trace(numbers(TIME, BATCH, INPUT))
    f, i, z, o = (trace.gates[name] for name in ("forget", "input", "candidate", "output"))
    c, h = trace.states["c"], trace.states["h"]
    before = torch.zeros_like(c)
    before[0, 1:], before[1, :-1] = c[0, :-1], c[1, 1:]  # backward in time, the step before is the later one
    torch.testing.assert_close(c, f * before + i * z, rtol=0, atol=1e-12)
    torch.testing.assert_close(h, o * c.tanh(), rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat([h[0], h[1]], dim=-1), trace.output, rtol=0, atol=0)


def test_after_a_rows_end_gates_are_zero_and_states_are_held() -> None:
    layer = dense(lambda: build_cell("gru"))
    start = {"h": numbers(1, BATCH, HIDDEN, seed=8)}
    trace = layer.trace(numbers(TIME, BATCH, INPUT), start, LENGTHS)
    for row, length in enumerate(LENGTHS):
        assert all(not gate[0, length:, row].any() for gate in trace.gates.values())
        last = trace.states["h"][0, length - 1, row] if length else start["h"][0, row]
        assert torch.equal(trace.states["h"][0, length:, row], last.expand(TIME - length, HIDDEN))


def test_a_trace_holds_the_forget_gate_that_a_coupled_cell_has_no_weights_for() -> None:
    trace = dense(lambda: build_cell("coupled_lstm")).trace(numbers(TIME, BATCH, INPUT))
    assert set(trace.gates) == {"input", "forget", "candidate", "output"}


def test_a_trace_is_time_first_and_its_output_as_the_layer_gives_it() -> None:
    layer = dense(lambda: build_cell("lstm"), batch_first=True)
    x = numbers(BATCH, TIME, INPUT)
    trace = layer.trace(x)
    assert trace.gates["forget"].shape == (1, TIME, BATCH, HIDDEN)
    torch.testing.assert_close(trace.output, layer(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_on_images_height_and_width_follow_the_channels(lengths: list[int] | None) -> None:
    layer = images(lambda: build_cell("peephole_lstm"), 3, num_layers=2, bidirectional=True)
    x = numbers(TIME, BATCH, INPUT, 4, 2)
    trace = layer.trace(x, lengths=lengths)
    for value in (trace.gates | trace.states).values():
        assert value.shape == (4, TIME, BATCH, HIDDEN, 4, 2)
    output, state = layer(x, lengths=lengths)
    assert torch.equal(trace.output, output)
    for name, value in state.items():
        assert torch.equal(trace.state[name], value)


def test_a_trace_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="a trace needs at least one step of time"):
        dense(lambda: build_cell("lstm")).trace(numbers(0, BATCH, INPUT))


def test_without_a_trace_nothing_is_kept() -> None:
    layer = dense(lambda: build_cell("lstm"))
    before = set(vars(layer))
    layer.trace(numbers(TIME, BATCH, INPUT))
    assert set(vars(layer)) == before
