#include "cli/model_card.h"

#include "eval/facts.h"
#include "model/cost.h"

namespace shenhong {
namespace {

std::string percent(const Json& share) {
  return share.is_null() ? "–" : fmt::format("{:.1f} %", 100 * share.get<double>());
}

std::string loss_table(const Json& losses) {
  std::string table = "| held-out text | nats/token | bits/byte | tokens |\n|---|---|---|---|\n";
  for (const Json& loss : losses)
    table += fmt::format("| {} | {:.3f} | {:.3f} | {} |\n", loss["source"].get<std::string>(),
                         loss["nats_per_token"].get<double>(), loss["bits_per_byte"].get<double>(),
                         loss["tokens"].get<int64_t>());
  return table;
}

std::string poem_table(const Json& poems) {
  std::string table =
      "| form | samples | form kept | rhymes | holds a training line |\n|---|---|---|---|---|\n";
  for (const auto& [form, row] : poems["forms"].items())
    table += fmt::format("| {} | {} | {} | {} | {} |\n", form, row["samples"].get<int>(),
                         percent(row["form_ok"]), percent(row["rhyme_ok"]), percent(row["copied"]));
  return table + fmt::format("\nRhyme by: {}.\n", poems["rhyme_table"].get<std::string>());
}

}  // namespace

std::string model_card(const Recipe& recipe, const ModelConfig& config, const Json& report) {
  const ModelCost cost = cost_of(config);
  std::string card = fmt::format(
      "# shenhong-{}\n\n"
      "A small Chinese chat model of DeepSeek-V3's form: it writes classical poems. Trained from "
      "nothing on two CPU "
      "cores by `shenhong run recipes/{}.toml`.\n\n"
      "一个 DeepSeek-V3 结构的中文小模型，会写古诗；由 `shenhong run recipes/{}.toml` 在两个 CPU "
      "核上从零训练。\n\n"
      "{:.1f} M parameters, {:.1f} M of them active per token: {} layers, width {}, {} experts of "
      "which {} and {} shared "
      "are used, latent attention of rank {}, {} tokens of vocabulary, {} of context, BF16.\n\n",
      recipe.name, recipe.name, recipe.name, double(cost.parameters_total) / 1e6,
      double(cost.parameters_active) / 1e6, config.num_hidden_layers, config.hidden_size,
      config.n_routed_experts, config.mean_experts(), config.n_shared_experts, config.kv_lora_rank,
      config.vocab_size, config.max_position_embeddings);
  card += fmt::format(
      "Training: {} steps of {} × {} tokens on running text, then {} steps of {} × {} on dialogues "
      "made from it{}.\n\n",
      recipe.pretrain.steps, recipe.pretrain.batch, recipe.pretrain.seq_len, recipe.chat.steps,
      recipe.chat.batch, recipe.chat.seq_len,
      recipe.refine ? fmt::format(", then {} more", recipe.refine->steps) : "");
  card +=
      "## What it can do / 能做什么\n\n"
      "- write a poem of a named form (五绝, 七绝, 五律, 七律) or tune (词牌), on a topic, in a "
      "poet's manner, in a rhyme (押东韵)\n"
      "- go on from a first line or couplet\n"
      "- say who wrote a famous line, explain a word or an idiom: often wrong, see below\n"
      "- look a fact up in a knowledge graph, copy it with its source, and say when the graph is "
      "silent\n"
      "- greet, and say what it cannot do\n\n"
      "## What it cannot do / 不能做什么\n\n"
      "It is far too small to know facts: what it says of authors, dates and meanings without a "
      "citation [n] must be checked. The table below says "
      "how often a poem keeps its form and rhymes; its sense wanders. It cannot reason, calculate, "
      "translate, write code or talk about the "
      "news.\n\n"
      "模型很小，没有引用标记 [n] "
      "的作者、年代、词义常常有误，请核对；诗的格式和韵脚有多可靠见下表，意思未必连贯；不会推理、计"
      "算、翻译、写代码。\n\n"
      "## Numbers\n\n";
  if (report.contains("poems")) card += poem_table(report["poems"]) + "\n";
  if (report.contains("facts"))
    card += "Facts of a graph that it looks up (`shenhong eval facts`). " +
            facts_markdown(report["facts"]) + "\n";
  card += loss_table(report["loss"]);
  return card;
}

}  // namespace shenhong
