/*-------------------------------------------------------------------------
 *
 * make_seeds_head.c
 *	  Seeds of fuzz_head and fuzz_pages.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>

#include "../unit/sample_head.h"

#define HEAD_FRAME 32			/* bytes before the elements */
#define PAGE_FRAME 48

static void
write_seed(const char *directory, const char *name, const uint8_t *prefix,
		   size_t nprefix, const FmBuf *object, size_t frame)
{
	char		path[1000];
	FILE	   *file;
	size_t		n = object->len - frame - 8;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(prefix, 1, nprefix, file) != nprefix ||
		fwrite(object->data + frame, 1, n, file) != n || fclose(file) != 0)
		abort();
}

int
main(int argc, char **argv)
{
	const char *directory = argc > 1 ? argv[1] : ".";
	static const uint8_t table[2] = {0, 0};
	static const uint8_t level[2] = {1, 2};
	static const uint8_t log[2] = {2, 2};
	SampleHead	s;
	FmPageRef	ref;
	FmId		id = sample_id(83);
	FmBuf		buf;

	sample_head(&s);
	fm_buf_init(&buf, &fm_alloc_malloc);
	fm_head_encode(&s.head, &buf);
	write_seed(directory, "head/sample", table, 0, &buf, HEAD_FRAME);
	fm_buf_reset(&buf);
	fm_table_page_encode(&s.tables[1], &id, &buf, &ref);
	write_seed(directory, "pages/table", table, 2, &buf, PAGE_FRAME);
	fm_buf_reset(&buf);
	fm_level_page_encode(s.level1, 2, &id, &buf, &ref);
	write_seed(directory, "pages/level", level, 2, &buf, PAGE_FRAME);
	fm_buf_reset(&buf);
	s.head.version = 68;
	s.head.commit_id = s.records[0].previous;
	fm_log_page_encode(&s.head, s.records, 2, &id, &buf, &ref);
	write_seed(directory, "pages/log", log, 2, &buf, PAGE_FRAME);
	fm_buf_reset(&buf);
	sample_head(&s);
	sample_optional_parts(&s);
	fm_head_encode(&s.head, &buf);
	write_seed(directory, "head/optional", table, 0, &buf, HEAD_FRAME);
	fm_buf_free(&buf);
	return 0;
}
