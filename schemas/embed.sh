#!/bin/sh
# embed.sh FILE.avsc... prints C: the schemas as an array of {name, json}, name "oc10/share".
set -eu
printf '/* Made by schemas/embed.sh from the .avsc files. */\n#include "common/schema.h"\n\n'
printf 'const struct ls_schema_text ls_schema_texts[] = {\n'
for file in "$@"; do
    name=${file#schemas/}
    printf '    {"%s",\n' "${name%.avsc}"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^\(.*\)$/     "\1\\n"/' "$file"
    printf '    },\n'
done
printf '    {0, 0}};\n'
