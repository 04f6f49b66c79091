"""A small network on random data, trained on the CPU: nothing here knows of frugalblas.

frugalblas run docs/examples/torch_mlp.py
"""

import torch

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(128, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
features, labels = torch.randn(256, 128), torch.randint(0, 10, (256,))
losses = []
for _ in range(40):
    loss = torch.nn.functional.cross_entropy(model(features), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0] - 0.1, "it did not learn"
print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}")
