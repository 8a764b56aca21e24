"""What the fused engine is made of: graphs for any number of rows, kept gates, its tanh, products by size, chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines.fused import compiled, products
from cellwise.recurrent.engines.fused.compiled import compiling
from cellwise.recurrent.engines.fused.cut import look_at
from cellwise.recurrent.engines.fused.form import Arrival, Form
from cellwise.recurrent.engines.fused.saving import save
from cellwise.recurrent.engines.fused.tangent import without_tanh
from cellwise.recurrent.engines.fused.tape import Tape
from cellwise.recurrent.engines.fused.tracing import Graphs, Traced, traced
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.recurrent.maps import Convolution, Dense, ReplicatedDense
from cellwise.testing.layers import assert_all_close, numbers


@pytest.fixture(autouse=True)
def uncompiled() -> Iterator[None]:
    with compiling(False):
        yield


def form_of(name: str, **options: Any) -> Form:
    cell = build_cell(name, options)
    seen = look_at(cell)
    assert seen is not None
    plain: dict[str, Any] = {"masked": (), "kept": (), "lengths": False, "resets": False}
    written: Arrival = "written"
    return Form(
        cell,
        4,
        tuple(cell.extras),
        cell.part_biases,
        **plain,
        direct=seen.direct,
        start=seen.start,
        arrivals=(written,) * len(cell.products),
    )


def graphs_of(name: str, **options: Any) -> Graphs:
    form = form_of(name, **options)
    found = traced(form, torch.empty(0), None)
    save(form, found)
    return found


def operators(graphs: Graphs, direction: str) -> list[str]:
    """The names of a direction's operators, stage by stage."""
    of = graphs.forward if direction == "forward" else graphs.backward
    return [str(node.target) for one in of.values() for node in one.graph.graph.nodes if node.op == "call_function"]


class TestKeptGates:
    def test_the_way_back_of_an_lstm_computes_no_sigmoid_and_no_tanh_again(self) -> None:
        graphs = graphs_of("lstm")
        forward, backward = operators(graphs, "forward"), operators(graphs, "backward")
        assert forward.count("aten.sigmoid.default") == 3
        assert forward.count("aten.tanh.default") == 2
        assert not {"aten.sigmoid.default", "aten.tanh.default"} & set(backward)

    def test_four_gates_take_their_pre_activations_places_and_one_buffer_is_added(self) -> None:
        graphs = graphs_of("peephole_lstm")
        assert graphs.saved == ["saved:0"]  # tanh(c)
        assert graphs.forward[1].names[-1] == graphs.backward[1].names[-1] == "saved:0"

    def test_a_gate_of_an_earlier_stage_is_read_where_it_was_kept(self) -> None:
        """The reset gate of a GRU makes the operand of the second product, and stage 2 reads it no more than once."""
        graphs = graphs_of("gru", reset="before")
        assert operators(graphs, "forward").count("aten.sigmoid.default") == 2  # reset and update, once each
        assert not {"aten.sigmoid.default", "aten.tanh.default"} & set(operators(graphs, "backward"))

    @pytest.mark.parametrize("name", ["layer_norm_lstm", "slstm", "lem"])
    def test_buffers_stay_within_half_of_what_gates_and_states_take(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(compiled, "_made", {})
        layer = Recurrent(name, 3, 4, engine="fused")
        layer(numbers(2, 2, 3, dtype=torch.float32))
        (made,) = compiled._made.values()
        assert len(made.saved) <= (len(layer.cell.gates) + len(layer.cell.states)) / 2


class TestTanh:
    def test_it_is_as_exact_as_float32_allows(self) -> None:
        x = torch.cat(
            [torch.linspace(-12, 12, 200_001), torch.logspace(-30, 0, 2_000), torch.tensor([0.0, 1e30, -1e30])]
        )
        exact = torch.tanh(x.double())
        assert float(((rational(x).double() - exact).abs() / exact.abs().clamp_min(1e-37)).max()) < 4e-7

    def test_it_ends_at_one_and_hands_on_what_is_no_number(self) -> None:
        found = rational(torch.tensor([torch.inf, -torch.inf, torch.nan, 50.0]))
        torch.testing.assert_close(found[:2], torch.tensor([1.0, -1.0]), rtol=0, atol=1e-7)
        assert float(found.nan_to_num().abs().max()) <= 1.0 and bool(found[2].isnan())

    def test_float64_keeps_its_own(self) -> None:
        module = torch.fx.experimental.proxy_tensor.make_fx(torch.tanh)(torch.ones(3, dtype=torch.float64))
        without_tanh(module)
        assert "aten.tanh.default" in [str(node.target) for node in module.graph.nodes]


def rational(x: Tensor) -> Tensor:
    module = torch.fx.experimental.proxy_tensor.make_fx(torch.tanh)(x)
    without_tanh(module)
    assert "aten.tanh.default" not in [str(node.target) for node in module.graph.nodes]
    found: Tensor = module(x)
    return found


class TestRows:
    def test_one_compilation_does_for_every_batch_but_one_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[Any] = []

        def compiles(of: Traced) -> Any:
            made.append(of)
            return of.graph

        monkeypatch.setattr(compiled, "_made", {})
        monkeypatch.setattr(compiled, "_compiled", compiles)
        fused, reference = (Recurrent("gru", 3, 32, engine=name, reset="before") for name in ("fused", "reference"))
        reference.load_state_dict(fused.state_dict())
        with compiling(True):
            for batch in (5, 32, 2):
                x = numbers(4, batch, 3, dtype=torch.float32)
                assert_all_close("batch", both(fused, x), both(reference, x), 1e-5)
            before = len(made)
            fused(numbers(4, 1, 3, dtype=torch.float32))
        assert before == 4  # two products: two stages forward, two back
        assert len(made) > before

    @pytest.mark.parametrize("hidden", [1, 8, 32])
    def test_a_width_that_equals_the_traced_rows_is_no_row(self, hidden: int) -> None:
        """Rows are a symbol; a stride of the same number must not become one with them."""
        fused, reference = (ConvRecurrent("lstm", 2, hidden, 3, engine=name) for name in ("fused", "reference"))
        reference.load_state_dict(fused.state_dict())
        form = form_of("lstm")
        shapes = {tuple(map(str, n.meta["val"].stride())) for n in placeholders(graphs_of("lstm"))}
        assert ("16", "1") in shapes and form.hidden == 4
        x = numbers(2, 2, 2, 3, 5, dtype=torch.float32)
        assert_all_close("image", both(fused, x), both(reference, x), 1e-5)


def placeholders(graphs: Graphs) -> list[Any]:
    return [node for node in graphs.forward[1].graph.graph.nodes if node.op == "placeholder"]


def both(layer: Any, x: Tensor) -> dict[str, Tensor]:
    """Output and the gradients of its weighted sum."""
    x = x.clone().requires_grad_()
    output, _ = layer(x)
    leaves = {"x": x, **dict(layer.named_parameters())}
    found = torch.autograd.grad(
        (output * numbers(*output.shape, dtype=output.dtype, seed=9)).sum(), list(leaves.values())
    )
    return {"output": output, **dict(zip(leaves, found, strict=True))}


class TestProducts:
    CASES = (
        ("dense", Dense(), (8, 5), (3, 4, 5), ()),
        ("replicas", ReplicatedDense(2), (2, 8, 5), (3, 2, 4, 5), ()),
        ("convolution", Convolution(3), (8, 5, 3, 3), (3, 2 * 6, 5), (3, 2)),
        ("even", Convolution(2), (8, 5, 2, 2), (3, 2 * 6, 5), (3, 2)),
    )

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize(
        ("map_", "weight_shape", "shape", "image"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
    )
    def test_each_way_to_multiply_is_the_map(
        self,
        map_: Any,
        weight_shape: tuple[int, ...],
        shape: tuple[int, ...],
        image: tuple[int, ...],
        packed: bool,
        dtype: torch.dtype,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Every way in and back, with the weight small and as if it were large."""
        if packed:
            for limit in ("_LARGE_FOR_STEPS", "_LARGE_FOR_ALL", "_TURNED"):
                monkeypatch.setattr(products, limit, 1)
        weight = numbers(*weight_shape, dtype=dtype, seed=1).requires_grad_()
        v = numbers(*shape, dtype=dtype, seed=2).requires_grad_()
        images = v.reshape(3, 2, *image, 5) if image else v
        expected = map_(images, weight).reshape(*shape[:-1], 8)
        d = numbers(*expected.shape, dtype=dtype, seed=3)
        d_v, d_weight = torch.autograd.grad(expected, [v, weight], d)
        product = products.product_of(map_, weight, image)
        with torch.no_grad():
            wide = numbers(*expected.shape[:-1], 3 * 8, dtype=dtype, seed=4)
            place = wide[0, ..., 8:16]  # as one product's columns of the projected input
            share = place.clone()
            added = product.add(v[0], place)
            added = place if added is None else added + share if product.arrival == "alone" else added
            put_place = torch.empty_like(share)
            put = product.put(v[0], put_place)
            found = {
                "all": product(v),
                "added": added,
                "put": put_place if put is None else put,
                "back": product.back(d[0]),
                "back of all": product.back_all(d),
                "weight": product.weight_gradient(d, v),
            }
        wanted = {
            "all": expected,
            "added": share + expected[0],
            "put": expected[0],
            "back": d_v[0],
            "back of all": d_v,
            "weight": d_weight,
        }
        assert product.arrival == products.arrival_of(map_, weight)
        assert_all_close("product", found, wanted, 1e-5 if dtype == torch.float32 else 1e-12)

    def test_large_dense_products_are_handed_over_complete_and_small_ones_written(self) -> None:
        small, large = torch.empty(4, 4), torch.empty(products._LARGE_FOR_STEPS, 1)
        assert products.arrival_of(Dense(), small) == products.arrival_of(Dense(), large.double()) == "written"
        assert products.arrival_of(Dense(), large) == "complete"


class TestRecompute:
    @pytest.mark.parametrize("chunk", [1, 3, 4, 9])
    def test_chunks_give_what_one_tape_gives(self, chunk: int) -> None:
        options: dict[str, Any] = {"learned_state": True, "zoneout": 0.2, "recurrent_dropout": 0.3}
        whole = Recurrent("gru", 3, 4, 2, bidirectional=True, engine="fused", **options).double()
        cut = Recurrent("gru", 3, 4, 2, bidirectional=True, recompute=chunk, **options).double()
        assert cut.engine == "fused"
        cut.load_state_dict(whole.state_dict())
        resets = torch.zeros(4, 3, dtype=torch.bool)
        resets[2, 1] = True

        def found(layer: Recurrent) -> dict[str, Tensor]:
            torch.manual_seed(5)
            x = numbers(4, 3, 3).requires_grad_()
            output, state = layer(x, lengths=[4, 3, 1], resets=resets)
            leaves = {"x": x, **dict(layer.named_parameters())}
            total = (output * numbers(*output.shape, seed=6)).sum() + state["h"].square().sum()
            return {
                "output": output,
                **dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True)),
            }

        assert_all_close("chunks", found(cut), found(whole), 1e-12)

    def test_only_the_state_before_each_chunk_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        longest: list[int] = []
        before = Tape.__init__

        def watched(self: Tape, given: Any, form: Any) -> None:
            longest.append(given.x.shape[0])
            before(self, given, form)

        monkeypatch.setattr(Tape, "__init__", watched)
        layer = Recurrent("lstm", 3, 4, recompute=3)
        layer(numbers(8, 2, 3, dtype=torch.float32))[0].sum().backward()
        assert longest == [3, 3, 2, 2, 3, 3]  # forward, then back from the end

    def test_what_can_not_recompute_says_so(self) -> None:
        with pytest.raises(
            CellwiseError, match=r"recompute=5 is what engine 'fused' does, and LSTM can't run on 'native'"
        ):
            Recurrent("lstm", 3, 4, recompute=5, engine="native")
        with pytest.raises(CellwiseError, match=r"recompute=0 must be 1 or more: the steps of a chunk"):
            Recurrent("lstm", 3, 4, recompute=0)


class TestFastest:
    def test_without_a_compiler_it_is_what_starts_at_once(self) -> None:
        assert Recurrent("peephole_lstm", 3, 4, engine="fastest").engine == "reference"
        assert Recurrent("gru", 3, 4, engine="fastest", reset="after").engine == "native"

    def test_with_one_it_is_the_compiled_step_but_for_torchs_lstm_and_affine_cells(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cellwise.recurrent.engines.fused.compiler_at_hand", lambda device: True)
        with compiling(True):
            chosen = {
                name: Recurrent(name, 3, 4, engine="fastest").engine for name in ("lstm", "gru", "minimal_gru", "lem")
            }
        assert chosen == {"lstm": "native", "gru": "fused", "minimal_gru": "scan", "lem": "fused"}

    def test_a_compiler_that_fails_is_said_and_the_result_is_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(of: Any) -> Any:
            raise OSError("cc1plus: out of memory\nmore")

        monkeypatch.setattr(compiled, "_made", {})
        monkeypatch.setattr(compiled, "_by_inductor", broken)
        monkeypatch.setattr(compiled, "compiler_at_hand", lambda device: True)
        fused, reference = (Recurrent("rnn", 3, 4, engine=name).double() for name in ("fused", "reference"))
        reference.load_state_dict(fused.state_dict())
        with compiling(True), pytest.warns(UserWarning, match=r"the compiler failed \(cc1plus: out of memory\)"):
            output = fused(numbers(3, 2, 3))[0]
        assert_all_close("fallback", {"output": output}, {"output": reference(numbers(3, 2, 3))[0]}, 1e-12)
