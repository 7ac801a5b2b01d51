#include "sorad_vulkan.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>

static PFN_vkGetInstanceProcAddr get_instance;

// dlsym gives an object pointer for a function; POSIX says that the bits are the same.
static PFN_vkGetInstanceProcAddr entry_of(void *library) {
    void *symbol = dlsym(library, "vkGetInstanceProcAddr");
    PFN_vkGetInstanceProcAddr entry;
    memcpy(&entry, &symbol, sizeof entry);
    return entry;
}

#define FROM_NOTHING(name) \
    if (!(loader->name = (PFN_##name)get_instance(NULL, #name))) return "the Vulkan loader lacks " #name;

const char *sorad_vulkan_open(sorad_vulkan_loader *loader) {
    if (!get_instance) {
        void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
        if (!library) return "libvulkan.so.1 is not installed or cannot be opened";
        if (!(get_instance = entry_of(library))) return "libvulkan.so.1 is no Vulkan loader";
    }
    SORAD_VULKAN_GLOBAL(FROM_NOTHING)
    return NULL;
}

#define FROM_INSTANCE(name) \
    if (!(functions->name = (PFN_##name)get_instance(instance, #name))) return #name;

const char *sorad_vulkan_instance_functions(VkInstance instance, sorad_vulkan_instance *functions) {
    SORAD_VULKAN_INSTANCE(FROM_INSTANCE)
    return NULL;
}

#define FROM_DEVICE(name) \
    if (!(functions->name = (PFN_##name)get_device(device, #name))) return #name;

const char *sorad_vulkan_device_functions(VkInstance instance, VkDevice device, sorad_vulkan_device *functions) {
    PFN_vkGetDeviceProcAddr get_device = (PFN_vkGetDeviceProcAddr)get_instance(instance, "vkGetDeviceProcAddr");
    if (!get_device) return "vkGetDeviceProcAddr";
    SORAD_VULKAN_DEVICE(FROM_DEVICE)
    return NULL;
}

// ---- Validation: for tests; a callback must be C ----

static atomic_uint messages;
static char first_message[2048];

static VKAPI_ATTR VkBool32 VKAPI_CALL heard(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
                                            const VkDebugUtilsMessengerCallbackDataEXT *data, void *context) {
    (void)severity, (void)types, (void)context;
    if (atomic_fetch_add(&messages, 1) == 0) strncpy(first_message, data->pMessage, sizeof first_message - 1);
    return VK_FALSE;
}

VkDebugUtilsMessengerEXT sorad_vulkan_watch_validation(VkInstance instance) {
    PFN_vkCreateDebugUtilsMessengerEXT create =
        (PFN_vkCreateDebugUtilsMessengerEXT)get_instance(instance, "vkCreateDebugUtilsMessengerEXT");
    if (!create) return VK_NULL_HANDLE;
    VkDebugUtilsMessengerCreateInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT,
        .pfnUserCallback = heard,
    };
    VkDebugUtilsMessengerEXT messenger;
    return create(instance, &info, NULL, &messenger) == VK_SUCCESS ? messenger : VK_NULL_HANDLE;
}

void sorad_vulkan_leave_validation(VkInstance instance, VkDebugUtilsMessengerEXT messenger) {
    PFN_vkDestroyDebugUtilsMessengerEXT destroy =
        (PFN_vkDestroyDebugUtilsMessengerEXT)get_instance(instance, "vkDestroyDebugUtilsMessengerEXT");
    if (destroy) destroy(instance, messenger, NULL);
}

uint32_t sorad_vulkan_validation_messages(void) { return atomic_load(&messages); }

const char *sorad_vulkan_first_validation_message(void) { return first_message; }

const void *sorad_vulkan_synchronization_checks(void) {
    static const VkValidationFeatureEnableEXT enabled[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    static const VkValidationFeaturesEXT features = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT, .enabledValidationFeatureCount = 1, .pEnabledValidationFeatures = enabled};
    return &features;
}

// ---- Modules ----

#include "sorad_vulkan_words.h"

static const sorad_vulkan_module modules[] = {
#define ROW(member, text) {text, (const uint32_t *)(const void *)member##_bytes, sizeof member##_bytes / 4},
    SORAD_VULKAN_MODULES(ROW)
};

size_t sorad_vulkan_module_count(void) { return sizeof modules / sizeof modules[0]; }

const sorad_vulkan_module *sorad_vulkan_module_at(size_t index) { return modules + index; }
