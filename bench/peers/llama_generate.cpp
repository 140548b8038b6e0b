// N answers to each prompt by llama.cpp, all sequences in one growing batch.
//
// A prompt is computed once and its cache is shared with the other sequences of the same prompt
// (llama_memory_seq_cp); a sequence that ends makes room at once, and the next prompt enters with the
// tokens of the sequences that go on.
//
// usage: llama_generate --model M.gguf --prompts FILE [--NAME VALUE]...
// FILE holds a prompt a line, as token ids. Prints one JSON object.

#include "ggml-backend.h"
#include "llama.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using Clock = std::chrono::steady_clock;

struct Options {
    std::map<std::string, std::string> values = {
        {"model", ""},       {"prompts", ""},  {"n-prompts", "64"}, {"n", "8"},        {"max-new-tokens", "128"},
        {"sequences", "32"}, {"threads", "2"}, {"ubatch", "512"},   {"flash", "1"},    {"unified", "1"},
        {"temperature", "0.9"}, {"top-p", "0.95"}, {"top-k", "0"}, {"seed", "0"},
    };

    Options(int argc, char ** argv) {
        for (int i = 1; i < argc; i += 2) {
            const std::string name = std::string(argv[i]).substr(std::min<size_t>(2, std::string(argv[i]).size()));
            if (values.count(name) == 0 || i + 1 == argc) {
                throw std::runtime_error("unknown option, or one without a value: " + std::string(argv[i]));
            }
            values[name] = argv[i + 1];
        }
    }
    const std::string & text(const std::string & name) const { return values.at(name); }
    int number(const std::string & name) const { return std::stoi(values.at(name)); }
    float real(const std::string & name) const { return std::stof(values.at(name)); }
};

struct Sequence {
    llama_pos position = 0;      // of the next token
    llama_token next = -1;       // sampled, not yet computed
    int n_tokens = 0;            // sampled so far
    bool live = false;
    llama_sampler * sampler = nullptr;
};

struct Result {
    long n_tokens = 0;
    long prompt_tokens = 0;
    double seconds = 0;
};

static std::vector<std::vector<llama_token>> read_prompts(const std::string & path, int n) {
    std::ifstream file(path);
    std::vector<std::vector<llama_token>> prompts;
    std::string line;
    while (static_cast<int>(prompts.size()) < n && std::getline(file, line)) {
        std::istringstream ids(line);
        std::vector<llama_token> prompt;
        for (llama_token id; ids >> id;) prompt.push_back(id);
        prompts.push_back(prompt);
    }
    if (static_cast<int>(prompts.size()) < n) throw std::runtime_error(path + " holds fewer prompts than --n-prompts");
    return prompts;
}

static llama_sampler * new_sampler(const Options & options, int seed) {
    llama_sampler * chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    if (options.number("top-k") > 0) llama_sampler_chain_add(chain, llama_sampler_init_top_k(options.number("top-k")));
    llama_sampler_chain_add(chain, llama_sampler_init_temp(options.real("temperature")));
    llama_sampler_chain_add(chain, llama_sampler_init_top_p(options.real("top-p"), 1));
    llama_sampler_chain_add(chain, llama_sampler_init_dist(seed));
    return chain;
}

static void add(llama_batch & batch, llama_token token, llama_pos position, int sequence, bool logits) {
    const int i = batch.n_tokens++;
    batch.token[i] = token;
    batch.pos[i] = position;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = sequence;
    batch.logits[i] = logits;
}

class Generation {
  public:
    Generation(const Options & options, llama_context * ctx, const llama_vocab * vocab)
        : options(options), ctx(ctx), vocab(vocab), n(options.number("n")),
          max_new_tokens(options.number("max-new-tokens")), sequences(options.number("sequences")) {}

    ~Generation() {
        for (Sequence & sequence : sequences) free_sampler(sequence);
    }

    Result run(const std::vector<std::vector<llama_token>> & prompts, llama_batch & batch) {
        Result result;
        size_t next_prompt = 0;
        const Clock::time_point start = Clock::now();
        while (true) {
            batch.n_tokens = 0;
            std::vector<std::pair<int, int>> outputs;  // place in the batch, sequence
            for (size_t i = 0; i < sequences.size(); i++) {
                if (!sequences[i].live) continue;
                outputs.push_back({batch.n_tokens, static_cast<int>(i)});
                add(batch, sequences[i].next, sequences[i].position++, static_cast<int>(i), true);
            }
            std::vector<int> group;
            int prompt_output = -1;
            if (next_prompt < prompts.size()) group = free_sequences();
            if (!group.empty()) {
                const std::vector<llama_token> & prompt = prompts[next_prompt];
                for (size_t i = 0; i < prompt.size(); i++) {
                    add(batch, prompt[i], static_cast<llama_pos>(i), group[0], i + 1 == prompt.size());
                }
                prompt_output = batch.n_tokens - 1;
                result.prompt_tokens += static_cast<long>(prompt.size());
            }
            if (batch.n_tokens == 0) break;
            if (llama_decode(ctx, batch) != 0) throw std::runtime_error("llama_decode failed");
            for (const auto & [place, i] : outputs) take(i, place, result);
            if (prompt_output >= 0) enter(group, prompts[next_prompt], next_prompt, prompt_output, result);
            if (!group.empty()) next_prompt++;
        }
        result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
        return result;
    }

  private:
    const Options & options;
    llama_context * ctx;
    const llama_vocab * vocab;
    int n;
    int max_new_tokens;
    std::vector<Sequence> sequences;

    // n sequences that are free, or none.
    std::vector<int> free_sequences() const {
        std::vector<int> group;
        for (size_t i = 0; i < sequences.size() && static_cast<int>(group.size()) < n; i++) {
            if (!sequences[i].live) group.push_back(static_cast<int>(i));
        }
        return static_cast<int>(group.size()) == n ? group : std::vector<int>();
    }

    static void free_sampler(Sequence & sequence) {
        if (sequence.sampler != nullptr) llama_sampler_free(sequence.sampler);
        sequence.sampler = nullptr;
    }

    // The prompt is in the cache of the first of the group; the others get it too, and all draw from its logits.
    void enter(const std::vector<int> & group, const std::vector<llama_token> & prompt, size_t index, int output,
               Result & result) {
        for (size_t j = 1; j < group.size(); j++) {
            llama_memory_seq_cp(llama_get_memory(ctx), group[0], group[j], -1, -1);
        }
        for (size_t j = 0; j < group.size(); j++) {
            Sequence & sequence = sequences[group[j]];
            free_sampler(sequence);
            sequence = Sequence();
            sequence.live = true;
            sequence.position = static_cast<llama_pos>(prompt.size());
            sequence.sampler = new_sampler(options, options.number("seed") + static_cast<int>(index) * n + static_cast<int>(j));
        }
        for (int i : group) take(i, output, result);
    }

    // Draws the next token of a sequence, or ends it.
    void take(int i, int output, Result & result) {
        Sequence & sequence = sequences[i];
        sequence.next = llama_sampler_sample(sequence.sampler, ctx, output);
        const bool is_end = llama_vocab_is_eog(vocab, sequence.next);
        if (!is_end) {
            sequence.n_tokens++;
            result.n_tokens++;
        }
        if (is_end || sequence.n_tokens == max_new_tokens) {
            sequence.live = false;
            llama_memory_seq_rm(llama_get_memory(ctx), i, -1, -1);
        }
    }
};

static long peak_memory_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("VmHWM:", 0) == 0) return 1024 * std::stol(line.substr(6));
    }
    return 0;
}

int main(int argc, char ** argv) try {
    const Options options(argc, argv);
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
    }, nullptr);
    ggml_backend_load_all_from_path(LLAMA_LIBS);
    llama_backend_init();

    llama_model * model = llama_model_load_from_file(options.text("model").c_str(), llama_model_default_params());
    if (model == nullptr) throw std::runtime_error("the model cannot be loaded: " + options.text("model"));
    const std::vector<std::vector<llama_token>> prompts = read_prompts(options.text("prompts"), options.number("n-prompts"));
    size_t longest = 0;
    for (const auto & prompt : prompts) longest = std::max(longest, prompt.size());

    const int n_sequences = options.number("sequences");
    if (n_sequences < options.number("n")) throw std::runtime_error("--sequences must be at least --n");
    llama_context_params params = llama_context_default_params();
    const uint32_t per_sequence = static_cast<uint32_t>((longest + options.number("max-new-tokens") + 31) / 32 * 32);
    params.n_ctx = per_sequence * n_sequences;
    params.n_batch = static_cast<uint32_t>(longest + n_sequences);
    params.n_ubatch = std::min<uint32_t>(params.n_batch, options.number("ubatch"));
    params.n_seq_max = n_sequences;
    params.n_threads = params.n_threads_batch = options.number("threads");
    params.flash_attn_type = options.number("flash") != 0 ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.kv_unified = options.number("unified") != 0;
    llama_context * ctx = llama_init_from_model(model, params);
    if (ctx == nullptr) throw std::runtime_error("no context with these settings");
    const llama_vocab * vocab = llama_model_get_vocab(model);

    llama_batch batch = llama_batch_init(static_cast<int32_t>(params.n_batch), 0, 1);
    for (size_t i = 0; i < 32; i++) add(batch, prompts[0][i % prompts[0].size()], static_cast<llama_pos>(i), 0, i == 31);
    if (llama_decode(ctx, batch) != 0) throw std::runtime_error("llama_decode failed");
    llama_memory_clear(llama_get_memory(ctx), true);

    Generation generation(options, ctx, vocab);
    const Result result = generation.run(prompts, batch);
    std::cout << "{\"program\": \"llama.cpp " LLAMA_RELEASE "\", \"system\": \"" << llama_print_system_info() << "\"";
    for (const auto & [name, value] : options.values) std::cout << ", \"" << name << "\": \"" << value << "\"";
    std::cout << ", \"prompt_tokens\": " << result.prompt_tokens << ", \"n_tokens\": " << result.n_tokens
              << ", \"seconds\": " << result.seconds << ", \"tokens_per_second\": " << result.n_tokens / result.seconds
              << ", \"peak_memory_bytes\": " << peak_memory_bytes() << "}\n";
    llama_batch_free(batch);
    llama_free(ctx);
    llama_model_free(model);
    return 0;
} catch (const std::exception & error) {
    std::fprintf(stderr, "llama_generate: %s\n", error.what());
    return 1;
}
