#include <ashlar/plugin.hpp>

#include "plugin_tasks.hpp"

int twice(int x) { return 2 * x; }

void ashlar_name_tasks(ashlar::Tasks& tasks) { tasks.add<twice>("twice"); }
