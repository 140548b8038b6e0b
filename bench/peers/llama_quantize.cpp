// Writes a GGUF file in another type.
//
// usage: llama_quantize IN.gguf OUT.gguf f16|bf16|q4_0|q4_1|q8_0

#include "ggml-backend.h"
#include "llama.h"

#include <cstdio>
#include <map>
#include <string>

int main(int argc, char ** argv) {
    const std::map<std::string, llama_ftype> types = {
        {"f16", LLAMA_FTYPE_MOSTLY_F16},   {"bf16", LLAMA_FTYPE_MOSTLY_BF16},
        {"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0}, {"q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
        {"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
    };
    if (argc != 4 || types.count(argv[3]) == 0) {
        std::fprintf(stderr, "usage: llama_quantize IN.gguf OUT.gguf f16|bf16|q4_0|q4_1|q8_0\n");
        return 2;
    }
    ggml_backend_load_all_from_path(LLAMA_LIBS);
    llama_backend_init();
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = types.at(argv[3]);
    params.allow_requantize = true;
    params.pure = true;
    return llama_model_quantize(argv[1], argv[2], &params) == 0 ? 0 : 1;
}
