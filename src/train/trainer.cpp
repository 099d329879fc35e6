#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "core/parallel.h"
#include "core/progress.h"
#include "kernels/ceiling.h"
#include "model/cost.h"
#include "train/run_lock.h"
#include "train/run_log.h"

namespace shenhong {

void TrainConfig::validate(const std::string& where, const ModelConfig& model) const {
  const auto at_least_1 = [&](const char* name, int64_t value) {
    SH_CHECK(value >= 1, kUsage, "{}: {} = {}: must be at least 1", where, name, value);
  };
  at_least_1("steps", steps);
  at_least_1("batch", batch);
  at_least_1("micro_batch", micro_batch);
  at_least_1("seq_len", seq_len);
  at_least_1("log_every", log_every);
  at_least_1("validate_every", validate_every);
  at_least_1("save_every", save_every);
  at_least_1("keep_checkpoints", keep_checkpoints);
  at_least_1("validation_windows", validation_windows);
  SH_CHECK(batch % micro_batch == 0, kUsage, "{}: micro_batch = {} does not divide batch = {}",
           where, micro_batch, batch);
  SH_CHECK(seq_len <= model.max_position_embeddings, kUsage,
           "{}: seq_len = {} is beyond max_position_embeddings = {}", where, seq_len,
           model.max_position_embeddings);
  SH_CHECK(mtp_weight >= 0, kUsage, "{}: mtp_weight = {}: must be at least 0", where, mtp_weight);
  SH_CHECK(query_weight > 0 && query_weight <= 1000, kUsage,
           "{}: query_weight = {}: want above 0, at most 1000", where, query_weight);
  SH_CHECK(learn == "all" || learn == "modules", kUsage, "{}: learn = {}: want all or modules",
           where, learn);
  SH_CHECK(learn == "all" || model.num_nextn_predict_layers > 0, kUsage,
           "{}: learn = modules, but num_nextn_predict_layers = 0: there are none", where);
  precision_named(precision, where);
  schedule.validate(where + ".schedule");
  optimizer.validate(where + ".optimizer");
  balance.validate(where + ".balance", model);
  guard.validate(where + ".guard");
}

namespace {

std::vector<Parameter<float>*> learnt_parameters(Model<float>& model, bool modules_alone) {
  std::vector<Parameter<float>*> parameters;
  const auto add = [&](Parameter<float>& p) { parameters.push_back(&p); };
  if (modules_alone) {
    for (Mtp<float>& module : model.mtp) Mtp<float>::for_each_parameter(module, add);
  } else {
    model.for_each_parameter(add);
  }
  return parameters;
}

// Writes one window of T + P + 1 tokens as a row of the batch: T + P inputs and what follows each.
void set_row(Batch& batch, int row, std::span<const int> window, std::span<const uint8_t> learn) {
  const size_t length = window.size() - 1;
  for (size_t i = 0; i < length; ++i) {
    batch.tokens[row * length + i] = window[i];
    batch.targets[row * length + i] = learn[i + 1] ? window[i + 1] : Batch::kIgnore;
  }
}

Batch empty_batch(int B, int T, int P) {
  Batch batch{B, T, {}, {}};
  batch.tokens.resize(size_t(B) * size_t(T + P));
  batch.targets.resize(batch.tokens.size());
  return batch;
}

}  // namespace

std::vector<ValidationLoss> validation_loss(const std::function<LossSums(const Batch&)>& evaluate,
                                            int mtp_depth, const std::vector<Windows>& sources,
                                            int64_t windows) {
  constexpr int kRows = 8;
  const int P = mtp_depth;
  std::vector<ValidationLoss> losses;
  for (const Windows& source : sources) {
    const int T = source.window() - 1 - P;
    const int64_t count = std::min(windows, source.count());
    std::vector<int> tokens(source.window());
    std::vector<uint8_t> learn(source.window());
    double nats = 0;
    ValidationLoss loss{source.source().name(), 0, 0, 0};
    for (int64_t first = 0; first < count; first += kRows) {
      const int rows = int(std::min<int64_t>(kRows, count - first));
      Batch batch = empty_batch(rows, T, P);
      for (int row = 0; row < rows; ++row) {
        source.read(first + row, tokens, learn);
        set_row(batch, row, tokens, learn);
      }
      const LossSums sums = evaluate(batch);
      nats += sums.nats[0];
      loss.tokens += sums.counts[0];
    }
    loss.nats_per_token = loss.tokens > 0 ? nats / double(loss.tokens) : 0;
    loss.bits_per_byte =
        loss.nats_per_token * source.source().learned_tokens_per_byte() / std::numbers::ln2;
    losses.push_back(loss);
  }
  return losses;
}

Trainer::Trainer(const TrainConfig& config, Model<float>& model, Mixture mixture,
                 std::vector<Windows> validation, fs::path directory, const Emphasis& emphasis)
    : config_(config),
      emphasis_(emphasis),
      model_(model),
      mixture_(std::move(mixture)),
      validation_(std::move(validation)),
      directory_(std::move(directory)),
      optimizer_((model.allocate_gradients(), config.optimizer),
                 learnt_parameters(model, modules_alone()),
                 has_bf16_moments(precision_named(config.precision, "recipe"))),
      balancer_(config.balance, model.config()),
      guard_(config.guard) {
  model_.set_precision(precision_named(config.precision, "recipe"), config.seed);
  model_.set_balance_loss(balancer_.loss(config.batch, config.micro_batch, config.seq_len));
  if (modules_alone())  // the others' is no loss of this run
    for (Block<float>& block : model_.layers)
      if (block.moe) block.moe->router.balance = {};
}

std::vector<RouterStatistics<float>> Trainer::routers() {
  std::vector<RouterStatistics<float>> all = model_.routers();
  if (!modules_alone()) return all;
  const auto of_modules = std::ranges::count_if(
      model_.mtp, [](const Mtp<float>& module) { return module.block.moe.has_value(); });
  all.erase(all.begin(), all.end() - of_modules);
  return all;
}

void Trainer::fill(Batch& batch) {
  const int P = model_.config().num_nextn_predict_layers;
  std::vector<int> tokens(config_.seq_len + P + 1);
  std::vector<uint8_t> learn(tokens.size());
  for (int row = 0; row < batch.B; ++row) {
    mixture_.next(tokens, learn);
    set_row(batch, row, tokens, learn);
  }
  if (emphasis_.weight != 1) emphasize(emphasis_, batch);
}

Trainer::StepResult Trainer::train_step() {
  const int P = model_.config().num_nextn_predict_layers,
            micro_batches = config_.batch / config_.micro_batch;
  std::vector<Batch> batches;
  double scored = 0;  // weights of the whole step's positions that are learnt
  for (int m = 0; m < micro_batches; ++m) {
    batches.push_back(empty_batch(config_.micro_batch, config_.seq_len, P));
    fill(batches.back());
    const Batch& batch = batches.back();
    for (int row = 0; row < config_.micro_batch; ++row)
      for (int i = 0; i < config_.seq_len; ++i) {
        const size_t at = size_t(row * (config_.seq_len + P) + i);
        if (batch.targets[at] != Batch::kIgnore)
          scored += batch.weights.empty() ? 1 : double(batch.weights[at]);
      }
  }

  model_.zero_gradients();
  model_.clear_router_loads();
  StepResult result;
  const double weight = scored > 0 ? 1.0 / scored : 0;
  uint64_t pass = uint64_t(step_) * uint64_t(micro_batches);
  for (const Batch& batch : batches) {
    model_.set_pass(pass++);
    const double mtp_weight = P > 0 ? weight * config_.mtp_weight / P : 0;
    const LossSums sums = modules_alone() ? model_.forward_backward_modules(batch, mtp_weight)
                                          : model_.forward_backward(batch, weight, mtp_weight);
    balancer_.observe(routers());
    if (config_.balance.alpha > 0) result.balance_loss += model_.balance_loss();
    result.loss += sums.nats[0] * weight;
    for (int p = 1; p <= P; ++p) result.mtp_loss += sums.nats[p] * weight / P;
  }
  max_vio_ = max_violation(routers());
  routed_.add(routers());

  result.lr = learning_rate(config_.schedule, step_, config_.steps);
  result.gradient_norm = optimizer_.gradient_norm();
  const LossGuard::Judgement judgement = guard_.judge(result.loss, result.gradient_norm);
  if (judgement.verdict == LossGuard::Verdict::kGood) {
    optimizer_.step(result.lr, optimizer_.clip_scale(result.gradient_norm));
    balancer_.update(routers());
  } else {
    balancer_.discard();
    result.skipped = judgement.reason;
    result.diverged = judgement.verdict == LossGuard::Verdict::kDiverged;
  }
  ++step_;
  return result;
}

void RoutedTokens::add(const Balancer::Routers& routers) {
  load.resize(routers.size());
  tokens.resize(routers.size(), 0);
  for (size_t i = 0; i < routers.size(); ++i) {
    load[i].resize(routers[i].load->size(), 0);
    for (size_t e = 0; e < load[i].size(); ++e) load[i][e] += (*routers[i].load)[e];
    tokens[i] += *routers[i].tokens;
  }
}

Json RoutedTokens::to_json() const {
  Balancer::Routers all;
  for (size_t i = 0; i < load.size(); ++i) all.push_back({nullptr, &load[i], nullptr, &tokens[i]});
  const std::vector<double> layers = max_violation(all);
  return {{"max_vio_global", layers.empty() ? 0 : *std::max_element(layers.begin(), layers.end())},
          {"max_vio_layers", layers},
          {"mean_experts", mean_experts(all)}};
}

// What the precision saves: activations of a micro-batch between forward and backward pass, and
// the optimizer's moments, beside what they would take in float.
Json Trainer::memory_line() {
  const ActivationBytes& activations = model_.activation_bytes();
  int64_t moments = 0, numbers = 0;
  optimizer_.for_each_state([&](const std::string&, const Moments& m) {
    moments += m.bytes();
    numbers += m.size();
  });
  return {{"kind", "memory"},
          {"step", step_},
          {"precision", config_.precision},
          {"activation_bytes", activations.held},
          {"activation_bytes_f32", activations.plain},
          {"moment_bytes", moments},
          {"moment_bytes_f32", numbers * int64_t(sizeof(float))}};
}

void Trainer::validate() {
  model_.clear_router_loads();
  validation_losses_ = validation_loss([&](const Batch& batch) { return model_.evaluate(batch); },
                                       model_.config().num_nextn_predict_layers, validation_,
                                       config_.validation_windows);
}

TrainOutcome Trainer::run(const std::atomic<bool>& stop) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const RunLock lock(directory_);
  resume();
  RunLog log(directory_, step_);
  const double ceiling = measure_gemm_ceiling_gflops(thread_count());
  const double flop_per_token = training_flop_per_token(model_.config(), config_.seq_len);
  const int64_t tokens_per_step = int64_t(config_.batch) * config_.seq_len;
  log.write({{"kind", "start"},
             {"step", step_},
             {"steps", config_.steps},
             {"parameters", model_.parameter_count()},
             {"tokens_per_step", tokens_per_step},
             {"ceiling_gflops", ceiling}});

  const auto write_validation = [&] {
    validate();
    for (const ValidationLoss& loss : validation_losses_)
      log.write({{"kind", "validation"},
                 {"step", step_},
                 {"source", loss.source},
                 {"nats_per_token", loss.nats_per_token},
                 {"bits_per_byte", loss.bits_per_byte}});
    RoutedTokens routed;
    routed.add(model_.routers());
    Json line = {{"kind", "routing"}, {"step", step_}};
    line.update(routed.to_json());
    log.write(line);
  };

  Progress progress("train", config_.steps);
  double trained_s = 0;  // of the steps since the last log line; validation and saving not counted
  int64_t steps_timed = 0;
  bool memory_told = false;
  while (step_ < config_.steps) {
    const auto start = Clock::now();
    const StepResult result = train_step();
    trained_s += seconds_since(start);
    ++steps_timed;
    if (!memory_told) {
      memory_told = true;
      const Json memory = memory_line();
      log.write(memory);
      const auto megabytes = [&](const char* key) { return memory[key].get<double>() / 1e6; };
      fmt::print(
          stderr,
          "precision {}: activations {:.2f} MB (f32: {:.2f}), moments {:.2f} MB (f32: {:.2f})\n",
          config_.precision, megabytes("activation_bytes"), megabytes("activation_bytes_f32"),
          megabytes("moment_bytes"), megabytes("moment_bytes_f32"));
    }
    if (!result.skipped.empty())
      log.write({{"kind", "skip"}, {"step", step_}, {"reason", result.skipped}});
    if (result.diverged) {
      log.finish();
      return TrainOutcome::kDiverged;
    }
    if (step_ % config_.log_every == 0 || step_ == config_.steps) {
      const double tokens_per_s = double(tokens_per_step * steps_timed) / trained_s;
      const double gflops = tokens_per_s * flop_per_token / 1e9;
      const double worst_vio =
          max_vio_.empty() ? 0 : *std::max_element(max_vio_.begin(), max_vio_.end());
      Json line = {{"kind", "train"},
                   {"step", step_},
                   {"tokens", step_ * tokens_per_step},
                   {"loss", result.loss},
                   {"mtp_loss", result.mtp_loss},
                   {"lr", result.lr},
                   {"gradient_norm", result.gradient_norm},
                   {"max_vio", worst_vio},
                   {"tokens_per_s", tokens_per_s},
                   {"gflops", gflops},
                   {"share", gflops / ceiling}};
      if (config_.balance.alpha > 0) line["balance_loss"] = result.balance_loss;
      line.update(routed_.to_json());
      log.write(line);
      routed_ = {};
      progress.update(
          step_,
          fmt::format("step {} loss {:.3f} lr {:.1e} norm {:.2f} MaxVio {:.2f} {:.0f} tokens/s "
                      "{:.0f} GFLOP/s = {:.0f}% of the ceiling",
                      step_, result.loss, result.lr, result.gradient_norm, worst_vio, tokens_per_s,
                      gflops, 100 * gflops / ceiling));
      trained_s = 0;
      steps_timed = 0;
    }
    const bool last = step_ == config_.steps;
    if (last || step_ % config_.validate_every == 0) write_validation();
    if (last || stop || step_ % config_.save_every == 0) save();
    if (stop && !last) {
      log.finish();
      return TrainOutcome::kInterrupted;
    }
  }
  if (validation_losses_.empty()) validate();  // a finished run that is looked at again
  progress.finish();
  log.finish();
  return TrainOutcome::kFinished;
}

// Weights and router biases, and the optimizer's moments.
TensorGroups Trainer::tensors() {
  TensorGroups groups;
  model_.for_each_parameter([&](Parameter<float>& p) {
    groups["weights"].push_back({p.name, p.value.span()});
  });
  optimizer_.for_each_state([&](const std::string& name, Moments& values) {
    groups["optimizer"].push_back({name, values.floats(), values.bits()});
  });
  return groups;
}

namespace {

// How often a run logs, validates and saves may change on the way; the weights do not depend on it.
Json settings_that_change_bits(Json config) {
  for (const char* key :
       {"log_every", "validate_every", "save_every", "keep_checkpoints", "validation_windows"})
    config.erase(key);
  return config;
}

// A setting that the saved ones lack came later, and its default is what was done before.
template <HasFields Config>
Json with_defaults(const Json& saved) {
  Json all = fields_to_json(Config{});
  all.merge_patch(saved);
  return all;
}

// "lr = 0.002, now 0.003" of the first setting that differs; empty when none does.
std::string first_difference(const Json& was, const Json& is) {
  for (const auto& [key, value] : is.items()) {
    const Json before = was.value(key, Json());
    if (before.is_object() && value.is_object()) {
      const std::string inner = first_difference(before, value);
      if (!inner.empty()) return key + "." + inner;
    } else if (before != value) {
      return fmt::format("{} = {}, now {}", key, dump_json(before), dump_json(value));
    }
  }
  return was.size() > is.size() ? "it has settings that are gone" : "";
}

}  // namespace

void Trainer::save() {
  const Json state = {{"config", fields_to_json(config_)},
                      {"model", fields_to_json(model_.config())},
                      {"mixture", mixture_.state()},
                      {"guard", guard_.to_json()},
                      {"optimizer", optimizer_.to_json()}};
  save_checkpoint(directory_, step_, tensors(), state,
                  {.last = config_.keep_checkpoints, .every = 0});
}

void Trainer::resume() {
  std::vector<std::string> notes;
  const std::optional<LoadedCheckpoint> checkpoint = load_latest(directory_, notes);
  for (std::string& note : notes) notes_.push_back(std::move(note));
  if (!checkpoint) return;
  const Json& state = checkpoint->state();
  const std::string where = checkpoint->directory().string();
  for (const char* key : {"config", "model", "mixture", "guard", "optimizer"})
    SH_CHECK(state.contains(key), kBadInput, "{}/state.json: has no '{}'", where, key);
  for (const auto& [was, is] :
       {std::pair(settings_that_change_bits(with_defaults<TrainConfig>(state["config"])),
                  settings_that_change_bits(fields_to_json(config_))),
        std::pair(with_defaults<ModelConfig>(state["model"]), fields_to_json(model_.config()))}) {
    const std::string difference = first_difference(was, is);
    SH_CHECK(difference.empty(), kUsage,
             "{}: was saved under other settings than this recipe's: {}; give the run another "
             "directory, or remove this one to start again",
             where, difference);
  }
  checkpoint->restore(tensors());
  mixture_.restore(state["mixture"]);
  guard_.from_json(state["guard"]);
  optimizer_.from_json(state["optimizer"]);
  step_ = checkpoint->step();
}

}  // namespace shenhong
