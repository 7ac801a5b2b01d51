#include "sorad_kernels.h"
