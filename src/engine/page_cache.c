/*-------------------------------------------------------------------------
 *
 * page_cache.c
 *	  Pages of HEAD in the block cache.
 *
 * Each backend decodes them for itself, but where the store is far away one
 * request serves all of them.  Only what has the right checksum is kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/checksum.h"
#include "cache/block_cache.h"
#include "engine/page_cache.h"
#include "manifest/page_io.h"

static FmCacheKey
page_key(const FmId *id)
{
	FmCacheKey	key;

	key.object = *id;
	key.offset = 0;
	return key;
}

static void
publish(FmCachePin *pin, FmSlice bytes)
{
	memcpy(fm_cache_reserve(pin, (uint32) bytes.len), bytes.data, bytes.len);
	fm_cache_publish(pin, NULL);
	fm_cache_release(pin);
}

static FmSlice
read_page(FmStore *store, const FmPageRef *ref, uint64 version)
{
	FmCacheKey	key = page_key(&ref->id);
	FmCachePin	pin;
	FmSlice		bytes;
	uint8	   *copy;

	if (store->ops->is_near)
		return fm_page_read_store(store, ref, version);
	memset(&pin, 0, sizeof(pin));
	for (;;)
	{
		switch (fm_cache_lookup(&key, FM_CACHE_TOP, true, NULL, &pin))
		{
			case FM_CACHE_HIT:
				copy = palloc(pin.size);
				memcpy(copy, pin.data, pin.size);
				bytes = fm_slice(copy, pin.size);
				fm_cache_release(&pin);
				return bytes;
			case FM_CACHE_BUSY:
				fm_cache_wait(&key);
				break;
			case FM_CACHE_LOAD:
				bytes = fm_page_read_store(store, ref, version);
				if (fm_xxh3_64(bytes, 0) == ref->checksum)
					publish(&pin, bytes);
				else
					fm_cache_abandon(&pin);
				return bytes;
		}
	}
}

static void
note_written(FmStore *store, const FmId *id, FmSlice bytes)
{
	FmCacheKey	key = page_key(id);
	FmCachePin	pin;

	if (store->ops->is_near)
		return;
	memset(&pin, 0, sizeof(pin));
	if (fm_cache_lookup(&key, FM_CACHE_TOP, true, NULL,
						&pin) == FM_CACHE_LOAD)
		publish(&pin, bytes);
	fm_cache_release(&pin);
}

void
fm_page_cache_install(void)
{
	fm_page_read_hook = read_page;
	fm_page_written_hook = note_written;
}
