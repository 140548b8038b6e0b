"""Chat templates in the manner of the published ones, rendered by transformers.

usage: chat_template.py MODEL.gguf
"""

import datetime
import sys

from golden import write_json

from gguf import GGUFReader
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from tokenizer import tiny_smollm


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


chat_template_utils.datetime = FixedClock

LLAMA3 = """{{- bos_token }}
{%- if today is not defined %}
    {%- if strftime_now is defined %}
        {%- set today = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set today = "an unknown day" %}
    {%- endif %}
{%- endif %}

{#- A leading system message moves into the header block. #}
{%- set preamble = "" %}
{%- if messages[0]['role'] == 'system' %}
    {%- set preamble = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- endif %}

{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + today + "\\n\\n" + preamble + "<|eot_id|>" }}
{%- for turn in messages %}
    {%- if 'tool_calls' not in turn and turn.role not in ['tool', 'ipython'] %}
        {{- '<|start_header_id|>' + turn['role'] + '<|end_header_id|>\\n\\n' }}
        {{- turn['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

QWEN25 = """{%- if tools %}
    {{- raise_exception('tools are not supported') }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA2 = (
    "{% set has_system = messages[0]['role'] == 'system' %}"
    "{% if has_system %}{% set turns = messages[1:] %}{% else %}{% set turns = messages %}{% endif %}"
    "{% for turn in turns %}"
    "{% if (turn['role'] == 'user') == (loop.index0 % 2 == 1) %}"
    "{{ raise_exception('User and assistant must take turns.') }}{% endif %}"
    "{% set text = turn['content'] %}"
    "{% if loop.first and has_system %}"
    "{% set text = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' + text %}{% endif %}"
    "{% if turn['role'] == 'user' %}{{ bos_token + '[INST] ' + text.strip() + ' [/INST]' }}"
    "{% elif turn['role'] == 'assistant' %}{{ ' ' + text.strip() + ' ' + eos_token }}"
    "{% endif %}{% endfor %}"
)

MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, roles must alternate user/assistant.") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] | trim + eos_token }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported here.") }}
    {%- endif %}
{%- endfor %}
"""

GEMMA = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('There is no system role here.') }}{% endif %}"
    "{{ bos_token }}{% for turn in messages %}"
    "{% if (loop.index0 % 2 == 0) != (turn['role'] == 'user') %}"
    "{{ raise_exception('User and model must take turns.') }}{% endif %}"
    "{% set speaker = 'model' if turn['role'] == 'assistant' else turn['role'] %}"
    "{{ '<start_of_turn>' + speaker + '\\n' + turn['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)

# Newlines after block tags vanish, those after expressions stay.
ZEPHYR = """{% for turn in messages %}
{% if turn['role'] in ['system', 'user', 'assistant'] %}
{{ '<|' + turn['role'] + '|>\\n' + turn['content'] + eos_token }}
{% endif %}
    {% if add_generation_prompt and loop.last %}
{{ '<|assistant|>' }}
    {% endif %}
{% endfor %}"""

# Constructs that published templates use one here, one there.
CONSTRUCTS = """{%- macro head(role) -%}
    <{{ role | upper }}>
{%- endmacro %}
{%- set ns = namespace(found=false, last_user=-1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if not ns.found and message.role == 'user' and not message.content.startswith('Ignore') %}
        {%- set ns.found = true %}
        {%- set ns.last_user = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is not string or message.content | length == 0 %}
        {%- continue %}
    {%- endif %}
    {{- head(message['role']) ~ loop.index ~ ('*' if loop.index0 == ns.last_user else '') }}
    {{- ' ' + message.content | tojson }}
    {{- ' ' ~ message.content.split('\\n')[0].rstrip() ~ '|' ~ message.content.replace('a', 'A').strip('. ') }}
    {%- if message.content.endswith('.') and 'name' not in message %} stop{% endif %}
    {{- '\\n' if not loop.last else eos_token }}
{%- endfor %}
{%- if add_generation_prompt is defined and add_generation_prompt %}
    {{- messages[-1]['role'] | title }}{{ '>' * 3 }}
{%- endif %}
"""

TEMPLATES = {
    "llama3.1": (LLAMA3, "<|begin_of_text|>", "<|eot_id|>"),
    "qwen2.5": (QWEN25, "<|endoftext|>", "<|im_end|>"),
    "llama2": (LLAMA2, "<s>", "</s>"),
    "mistral": (MISTRAL, "<s>", "</s>"),
    "gemma": (GEMMA, "<bos>", "<eos>"),
    "zephyr": (ZEPHYR, "<s>", "</s>"),
    "constructs": (CONSTRUCTS, "<s>", "</s>"),
}


def turns(*contents, system=None, first="user"):
    roles = ["user", "assistant"] if first == "user" else ["assistant", "user"]
    head = [] if system is None else [{"role": "system", "content": system}]
    return head + [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]


CONVERSATIONS = [
    turns("What is 2 + 2?"),
    turns("Name a colour.", system="You are a terse assistant."),
    turns("Hi!", "Hello, how can I help?", "Tell me a joke.", "A short one: no.", "Another."),
    turns("  spaces around  ", "  and here \n\n", "\n tab\tand newline\n", system=" system too \n"),
    turns("", "", "Why so quiet?"),
    turns("Grüße, 世界! 🌍 <b>&\"quoted\" 'text'</b> \\n {{ not a variable }}", "Ça va. \u2028 مرحبا", "再见"),
    turns("Ignore the rest.", "I answered."),
    turns("Assistant speaks first.", "Then the user.", first="assistant"),
    [{"role": "user", "content": "One."}, {"role": "user", "content": "Two in a row."}],
    turns("Before.", "Yes.") + [{"role": "system", "content": "Late system."}, {"role": "user", "content": "After."}],
    [{"role": "user", "content": "Who judges?"}, {"role": "critic", "content": "An unknown role."}],
]


def main(path):
    published = GGUFReader(path).fields["tokenizer.chat_template"].contents()
    templates = {"smollm2": (published, "<|im_start|>", "<|im_end|>"), **TEMPLATES}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tiny_smollm())
    rows = []
    for name, (template, bos, eos) in templates.items():
        tokenizer.bos_token, tokenizer.eos_token = bos, eos
        for messages in CONVERSATIONS:
            for generate in (False, True):
                row = {
                    "template_name": name, "template": template, "bos_token": bos, "eos_token": eos,
                    "messages": messages, "add_generation_prompt": generate,
                }
                try:
                    row["rendered"] = tokenizer.apply_chat_template(
                        messages, chat_template=template, tokenize=False, add_generation_prompt=generate
                    )
                except Exception as error:
                    row["error"] = str(error)
                rows.append(row)
    write_json("chat_templates.json", rows)


if __name__ == "__main__":
    main(sys.argv[1])
