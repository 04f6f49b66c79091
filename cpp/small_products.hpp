// small_products.hpp: products with less work than waking a team is worth, one at a time.
#pragma once

namespace fb {

// Whether a product of so much work should have a team. Threads of a team spin after their part, for a while, and then
// sleep; waking them takes longer than a small product does. So that one waits for no team, but a caller who keeps
// coming with such products has one woken and keeps it, if it turns out to be faster: where others' threads spin, or
// threads sleep at once, it is not. After a pause, whoever gained by a team before it has one at once. Products of one
// caller only are compared.
bool small_team_pays(double flops);
// After every product that might have a team, of any size: the one that was asked for, and those that keep one awake.
void note_product(double flops, int threads);

}  // namespace fb
