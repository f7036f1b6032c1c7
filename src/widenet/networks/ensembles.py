"""Networks that are trained together, one for each seed, and networks that start at the function 0."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from widenet.errors import InvalidInput


class Centred(nn.Module):
    """f(x) - f_0(x), with f_0 a frozen copy of the module at its start.

    Training it from 0 removes the variance of the initialisation from the predictions. It is not the same as to
    subtract f_0 after training f: that leaves the variance B_t K B_t^T of what f_0 had to be corrected by.

    Args:
        module: f; it is copied, and the copy's parameters require no gradients.

    References: Chizat, Oyallon and Bach 2019, arXiv 1812.07956; Lee et al. 2020, arXiv 2007.15801.

    Example:
        >>> import torch
        >>> float(Centred(torch.nn.Linear(3, 1))(torch.ones(1, 3)).abs().max())
        0.0
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.start = copy.deepcopy(module).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the module minus those at its start."""
        return self.module(x) - self.start(x)


class Ensemble(nn.Module):
    """Modules of one form as one module: every parameter gets a leading axis of members.

    `train` trains every member as a network of its own, all in one pass, and with the same order of batches. The
    names of the parameters are those of a member.

    Args:
        modules: The members, of equal structure and shapes; they are copied.

    Raises:
        InvalidInput: On no modules.

    Cost:
        For small networks far less than to train one after the other; memory of all members.

    Example:
        >>> import torch
        >>> members = Ensemble.of(lambda seed: torch.nn.Linear(3, 2), seeds=range(5))
        >>> members(torch.ones(7, 3)).shape
        torch.Size([5, 7, 2])
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        if not modules:
            raise InvalidInput("an ensemble must have members", "none")
        # Outside of the registered modules, so that parameters keep the names that they have in a member.
        self._form = (copy.deepcopy(modules[0]),)
        parameters, buffers = stack_module_state([copy.deepcopy(module) for module in modules])
        self.size = len(modules)
        for name, tensor in parameters.items():
            self._place(
                name,
                nn.Parameter(
                    tensor.detach().clone(), requires_grad=dict(modules[0].named_parameters())[name].requires_grad
                ),
            )
        for name, tensor in buffers.items():
            self._place(name, tensor.detach().clone())

    @classmethod
    def of(cls, make: Callable[[int], nn.Module], seeds: Sequence[int]) -> "Ensemble":
        """One member for each seed.

        Args:
            make: Builds a module from a seed.
            seeds: The seeds.
        """
        return cls([make(int(seed)) for seed in seeds])

    def _place(self, name: str, tensor: Tensor) -> None:
        """Register a tensor under the name that it has in a member."""
        owner: nn.Module = self
        *path, leaf = name.split(".")
        for part in path:
            if part not in owner._modules:
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        if isinstance(tensor, nn.Parameter):
            owner.register_parameter(leaf, tensor)
        else:
            owner.register_buffer(leaf, tensor)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of every member, (members, rows, outputs)."""
        state = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        form = self._form[0].train(self.training)

        def member(own: dict[str, Tensor]) -> Tensor:
            outputs = functional_call(form, own, (x,))
            return outputs[:, None] if outputs.ndim == 1 else outputs

        return torch.vmap(member, randomness="different")(state)

    @torch.no_grad()
    def members(self) -> list[nn.Module]:
        """The members as modules of their own."""
        state = self.state_dict()
        found = []
        for index in range(self.size):
            module = copy.deepcopy(self._form[0])
            module.load_state_dict({name: tensor[index] for name, tensor in state.items()}, strict=False)
            found.append(module)
        return found
