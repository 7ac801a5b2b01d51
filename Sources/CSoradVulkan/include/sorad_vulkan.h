// Vulkan without linking it: libvulkan.so.1 is opened when a program asks for it, so that the programs run where there is none. The one
// shim: C because the loader hands out functions by name as untyped pointers, and because #embed is C.
//
// Headers: vulkan_core.h of Debian's libvulkan-dev alone.
#ifndef SORAD_VULKAN_H
#define SORAD_VULKAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include "sorad_vulkan_modules.h"

// Functions that exist before there is an instance.
#define SORAD_VULKAN_GLOBAL(X) X(vkCreateInstance) X(vkEnumerateInstanceVersion) X(vkEnumerateInstanceLayerProperties)

#define SORAD_VULKAN_INSTANCE(X) \
    X(vkDestroyInstance) X(vkEnumeratePhysicalDevices) X(vkGetPhysicalDeviceProperties2) X(vkGetPhysicalDeviceFeatures2) \
    X(vkGetPhysicalDeviceMemoryProperties) X(vkGetPhysicalDeviceQueueFamilyProperties) X(vkEnumerateDeviceExtensionProperties) \
    X(vkCreateDevice)

#define SORAD_VULKAN_DEVICE(X) \
    X(vkDestroyDevice) X(vkGetDeviceQueue) X(vkDeviceWaitIdle) X(vkCreateCommandPool) X(vkDestroyCommandPool) \
    X(vkAllocateCommandBuffers) X(vkBeginCommandBuffer) X(vkEndCommandBuffer) X(vkCreateFence) X(vkDestroyFence) X(vkWaitForFences) \
    X(vkResetFences) X(vkQueueSubmit2) X(vkCreateBuffer) X(vkDestroyBuffer) X(vkGetBufferMemoryRequirements) X(vkAllocateMemory) \
    X(vkFreeMemory) X(vkBindBufferMemory) X(vkMapMemory) X(vkCreateShaderModule) X(vkDestroyShaderModule) \
    X(vkCreateDescriptorSetLayout) X(vkDestroyDescriptorSetLayout) X(vkCreatePipelineLayout) X(vkDestroyPipelineLayout) \
    X(vkCreatePipelineCache) X(vkDestroyPipelineCache) X(vkGetPipelineCacheData) X(vkCreateComputePipelines) X(vkDestroyPipeline) \
    X(vkCmdBindPipeline) X(vkCmdPushDescriptorSetKHR) X(vkCmdPushConstants) X(vkCmdDispatch) X(vkCmdPipelineBarrier2) X(vkCmdCopyBuffer) \
    X(vkCmdFillBuffer) X(vkCreateQueryPool) X(vkDestroyQueryPool) X(vkCmdResetQueryPool) X(vkCmdWriteTimestamp2) X(vkGetQueryPoolResults)

#define SORAD_VULKAN_MEMBER(name) PFN_##name name;

typedef struct sorad_vulkan_loader {
    SORAD_VULKAN_GLOBAL(SORAD_VULKAN_MEMBER)
} sorad_vulkan_loader;

typedef struct sorad_vulkan_instance {
    SORAD_VULKAN_INSTANCE(SORAD_VULKAN_MEMBER)
} sorad_vulkan_instance;

typedef struct sorad_vulkan_device {
    SORAD_VULKAN_DEVICE(SORAD_VULKAN_MEMBER)
} sorad_vulkan_device;

// Opens the loader, once; it is never closed. Null, or why there is none.
const char *sorad_vulkan_open(sorad_vulkan_loader *loader);

// Fill a table; the name of the first function that is missing, or null.
const char *sorad_vulkan_instance_functions(VkInstance instance, sorad_vulkan_instance *functions);
const char *sorad_vulkan_device_functions(VkInstance instance, VkDevice device, sorad_vulkan_device *functions);

// Counts warnings and errors of the validation layers and keeps the first text; needs VK_EXT_debug_utils. Null when they cannot be
// heard. `leave` ends it, before the instance goes.
VkDebugUtilsMessengerEXT sorad_vulkan_watch_validation(VkInstance instance);
void sorad_vulkan_leave_validation(VkInstance instance, VkDebugUtilsMessengerEXT messenger);
uint32_t sorad_vulkan_validation_messages(void);
const char *sorad_vulkan_first_validation_message(void);
// To be chained into VkInstanceCreateInfo: synchronization checks. Lives as long as the process.
const void *sorad_vulkan_synchronization_checks(void);

// A SPIR-V module as it is committed.
typedef struct sorad_vulkan_module {
    const char *name;   // of the source, with "-float64" behind it for that build
    const uint32_t *words;
    size_t word_count;
} sorad_vulkan_module;

size_t sorad_vulkan_module_count(void);
const sorad_vulkan_module *sorad_vulkan_module_at(size_t index);

// VK_KHR_shader_fma is younger than the headers.
enum { SORAD_VULKAN_SHADER_FMA_FEATURES = 1000579000 };
typedef struct sorad_vulkan_shader_fma_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 float16, float32, float64;
} sorad_vulkan_shader_fma_features;

#endif
