/* What the files that decode a stage share: stage_parse.c, and stage_parse_scan.c for what its SQL reads. */
#ifndef GEARS_STAGE_PARTS_H
#define GEARS_STAGE_PARTS_H

#include "stage.h"
#include "words.h"

/* From the word SCAN, or GIVEN, on. False: refused. What was read so far is the stage's, to be freed with it. */
bool gears_stage_parse_scan(gears_words *words, gears_scan_spec *scan);
bool gears_stage_parse_given(gears_words *words, gears_given *given);

#endif
