"""Attention by batched products of float32 matrices, trained on the CPU: nothing here knows of frugalblas.

frugalblas run docs/examples/torch_attention.py
"""

import torch

torch.manual_seed(0)
batch, length, width = 16, 32, 64
model = torch.nn.Linear(width, 3 * width)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
sequences = torch.randn(batch, length, width)
losses = []
for _ in range(20):
    query, key, value = model(sequences).chunk(3, dim=-1)
    weights = torch.softmax(torch.bmm(query, key.transpose(1, 2)) / width**0.5, dim=-1)
    loss = (torch.bmm(weights, value) - sequences).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0] - 0.01, "it did not learn"
print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}")
