#include "_rows.h"

#include "../_core/_cpu.h"

extern const so_mc_table so_mc_table_baseline;
#ifdef SO_HAVE_V3
extern const so_mc_table so_mc_table_v3;
#endif
#ifdef SO_HAVE_V4
extern const so_mc_table so_mc_table_v4;
#endif

const so_mc_table *so_mc_rows(int level)
{
    int cpu = so_cpu_level();
    if (cpu < level)
        level = cpu;
#ifdef SO_HAVE_V4
    if (level >= 2)
        return &so_mc_table_v4;
#endif
#ifdef SO_HAVE_V3
    if (level >= 1)
        return &so_mc_table_v3;
#endif
    return &so_mc_table_baseline;
}
